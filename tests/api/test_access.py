"""Who may change something."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from tests.api.test_admin import ask
from xds_server.api.access import QUESTIONS, changes
from xds_server.api.admin import Readiness, admin_app

HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


def app() -> FastAPI:
    return admin_app(lambda: Readiness(ready=True, because=""), CollectorRegistry())


async def asked(method: str, path: str, host: str | None = HERE, origin: str = "") -> tuple[int, Any]:
    """Status and answer, to somebody on this host, in a browser that shows a page of `origin`."""
    client = None if host is None else (host, 50000)
    headers = [(b"origin", origin.encode())] if origin else []
    status, _, body = await ask(app(), path, method, client=client, headers=headers)
    return status, json.loads(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post"])
@pytest.mark.parametrize("host", [ELSEWHERE, "10.0.0.7", "2001:db8::7", "0.0.0.0", None])
async def test_whoever_is_elsewhere_changes_nothing(method: str, host: str | None) -> None:
    status, said = await asked(method, "/whatever/there/may/be", host)

    assert (status, list(said)) == (403, ["error"])
    assert "by loopback" in said["error"]


@pytest.mark.parametrize("host", [HERE, "127.8.9.1", "::1"])
async def test_whoever_is_here_may_ask_for_it(host: str) -> None:
    assert (await asked("POST", "/whatever", host))[0] == 404


@pytest.mark.parametrize("host", [ELSEWHERE, None])
async def test_everybody_may_look(host: str | None) -> None:
    assert (await asked("GET", "/healthz", host))[0] == 200
    assert (await asked("POST", "/explain", host))[0] == 400


@pytest.mark.parametrize("origin", ["https://evil.test", "http://127.0.0.1.evil.test", "null", "http://[", "http://"])
async def test_a_page_of_another_site_changes_nothing(origin: str) -> None:
    status, said = await asked("POST", "/whatever", origin=origin)

    assert status == 403
    assert origin in said["error"]


@pytest.mark.parametrize("origin", ["http://localhost:18001", "http://127.0.0.1:18001", "http://[::1]:18001"])
async def test_a_page_of_this_machine_may(origin: str) -> None:
    assert (await asked("POST", "/whatever", origin=origin))[0] == 404


def test_questions_are_no_changes() -> None:
    assert not any(changes("POST", each) for each in QUESTIONS)
    assert changes("POST", "/explain/")
