import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from tests.cli.answering import answering
from xds_server.api.proxy_reports import ConnectedProxy, Fleet, RefusalReport, TypeReport
from xds_server.cli.ctl import app
from xds_server.cli.proxies import fleets

SINCE = datetime(2026, 11, 20, tzinfo=UTC)
ROUTES = TypeReport(type="RouteConfiguration", version="ab" * 16, held=1, owed=1, refused=(), awaited="n-1")


def proxy(**said: object) -> ConnectedProxy:
    usual = {
        "id": "edge-1",
        "gateway": "edge",
        "role": "gateway",
        "envoy": "1.40.0",
        "mode": "sotw",
        "since": SINCE,
        "delivery": "full",
        "because": "SotW",
        "objection": "",
        "in_sync": True,
        "types": (ROUTES.model_copy(update={"owed": 0}),),
        "last_refusal": None,
    }
    return ConnectedProxy.model_validate(usual | said)


REFUSAL = RefusalReport(at=SINCE, type="RouteConfiguration", names=("edge/http",), reason="bad regex")
BEHIND = proxy(id="edge-2", in_sync=False, types=(ROUTES,))
REFUSES = proxy(
    id="edge-3",
    in_sync=False,
    types=(ROUTES.model_copy(update={"owed": 0, "refused": ("edge/http",)}),),
    last_refusal=REFUSAL,
)
STRANGER = proxy(id="old", envoy="1.30.0", in_sync=False, delivery="", because="", objection="too old", types=())


def said(*proxies: ConnectedProxy) -> bytes:
    return Fleet(revision=3, proxies=proxies).model_dump_json().encode()


def test_who_is_connected_is_a_table() -> None:
    with answering(200, said(proxy(since=datetime.now(UTC) - timedelta(hours=3)), BEHIND, REFUSES, STRANGER)) as server:  # noqa: TID251 - now
        result = CliRunner().invoke(app, ["proxies", "--server", server])

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[1] == "edge-1 gateway edge 1.40.0 3h full: SotW in sync"
    assert lines[2].endswith("behind by 1 resource")
    assert lines[3].endswith("refuses 1: bad regex")
    assert lines[4].endswith("- told nothing: too old")
    assert lines[5] == "4 proxies, 3 not in sync"


def test_one_that_is_named_is_shown_type_by_type() -> None:
    with answering(200, said(BEHIND)) as server:
        result = CliRunner().invoke(app, ["proxies", "edge-2", "--server", server])

    assert "RouteConfiguration 1 abababababab 1" in [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_it_is_data_too() -> None:
    with answering(200, said(REFUSES)) as server:
        result = CliRunner().invoke(app, ["proxies", "--server", server, "-o", "json"])

    [found] = json.loads(result.stdout)
    assert (found["id"], found["inSync"], found["lastRefusal"]["reason"]) == ("edge-3", False, "bad regex")


def test_a_server_that_does_not_answer() -> None:
    result = CliRunner().invoke(app, ["proxies", "--server", "127.0.0.1:1"])

    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_watching_goes_on_when_the_server_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.cli.proxies.REDRAWN", 0.0)
    with answering(200, said(BEHIND)) as server:
        watched = fleets(server, [])
        assert [len(next(watched).proxies) for _ in range(2)] == [1, 1]

    assert next(watched).proxies == ()
