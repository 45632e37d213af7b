"""The server as a process: how it starts, what it says, how it ends."""

import asyncio
import json
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.records.folder import SHOP, build, documents, release, shop_in
from tests.state.full import full
from xds_server.api.access import QUESTIONS
from xds_server.cli.demo import free_ports
from xds_server.domain.addresses import Address
from xds_server.domain.problems import Reason
from xds_server.protocol.events import Effect, Node, Send, SotwRequest
from xds_server.protocol.sotw import SotwStream
from xds_server.runtime.clock import clock
from xds_server.runtime.control import Control
from xds_server.runtime.serve import Settings, serving
from xds_server.snapshot import TypeUrl
from xds_server.state.store import StateUnusable

SERVER = Path(sys.executable).parent / "xds-server"
LOOPBACK = "127.0.0.1"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


def command(records: Path, xds: int, admin: int) -> list[str]:
    state = records.parent / "state"
    places = ["--xds", f"{LOOPBACK}:{xds}", "--admin", f"{LOOPBACK}:{admin}"]
    return [str(SERVER), "serve", "--records", str(records), "--state", str(state), *places]


async def ready(admin: int) -> dict[str, Any]:
    """What `/readyz` says once the server answers it with 200."""
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://{LOOPBACK}:{admin}/readyz") as answer:
                    if answer.status == 200:
                        found: dict[str, Any] = await answer.json()
                        return found
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_it_is_asked_to_end(records: Path, number: signal.Signals) -> None:
    xds, admin = free_ports(2)
    process = await asyncio.create_subprocess_exec(*command(records, xds, admin), stderr=asyncio.subprocess.PIPE)
    assert await ready(admin) == {"ready": True, "because": "records are in force"}

    process.send_signal(number)
    async with asyncio.timeout(20):
        _, said = await process.communicate()

    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in said.decode().splitlines()]
    assert events[:2] == ["state read", "serving"]
    assert events[-1] == "stopping"


@pytest.mark.parametrize("option", ["--xds", "--admin"])
def test_a_port_in_use_ends_it_with_a_message_that_names_the_option(records: Path, option: str) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as held:
        port = held.getsockname()[1]
        [other] = free_ports(1)
        ports = (port, other) if option == "--xds" else (other, port)
        found = subprocess.run(command(records, *ports), capture_output=True, text=True, check=False, timeout=60)

    assert found.returncode == 1
    assert found.stderr.splitlines()[-1].startswith(f"xds-server: cannot listen on {option} {LOOPBACK}:{port}")
    assert "Traceback" not in found.stderr


def test_a_state_that_cannot_be_used_ends_it_with_a_message(records: Path) -> None:
    (records.parent / "state").write_text("a file", "utf-8")

    found = subprocess.run(command(records, *free_ports(2)), capture_output=True, text=True, check=False, timeout=60)

    assert found.returncode == 1
    assert "xds-server: the state directory" in found.stderr
    assert "Traceback" not in found.stderr


async def test_a_disk_that_is_full_for_a_while_ends_nothing(records: Path) -> None:
    """No file of the server's grows: what is new of endpoints is served, and a release moves when there is room."""
    xds, admin = free_ports(2)
    process = await asyncio.create_subprocess_exec(*command(records, xds, admin), stderr=asyncio.subprocess.PIPE)
    try:
        await ready(admin)
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, most))
        (records / "shop.yaml").write_text(release("shop", "shop.test", to="v2"), "utf-8")
        async with aiohttp.ClientSession(f"http://{LOOPBACK}:{admin}") as session, asyncio.timeout(30):
            assert "what shop.yaml says" in await _until_said(session, "/problems", "StateUnwritable", "shop.yaml")
            builds = documents(build("web-1", "b1", "10.0.0.9:8080"), build("web-2", "b2"))
            (records / "builds.yaml").write_text(builds, "utf-8")
            await _until_said(session, "/records/builds", "10.0.0.9:8080")
            async with session.post("/releases/shop/rollback", json={"who": "ada", "why": "so", "to": "v2"}) as answer:
                assert (answer.status, (await answer.json())["error"].startswith("not now: ")) == (503, True)
            async with session.get("/readyz") as answer:
                assert answer.status == 200
            async with session.get("/releases/shop/history") as answer:
                assert await answer.json() == []

            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
            await _until_said(session, "/releases/shop/history", "default: v1 100 % -> v2 100 %")
            await _until_said(session, "/problems", but="StateUnwritable")
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0


async def _until_said(session: aiohttp.ClientSession, path: str, *words: str, but: str | None = None) -> str:
    """What is answered once all these words are, and the other is not."""
    while True:
        async with session.get(path) as answer:
            said = await answer.text()
        if all(each in said for each in words) and (but is None or but not in said):
            return said
        await asyncio.sleep(0.02)


# --- in this process


@asynccontextmanager
async def server(records: Path) -> AsyncIterator[tuple[Control, int]]:
    xds, admin = free_ports(2)
    settings = Settings(records, records.parent / "state", Address(LOOPBACK, xds), Address(LOOPBACK, admin))
    async with serving(settings) as control:
        await ready(admin)
        yield control, admin


async def told(control: Control, what: str) -> None:
    """Wait until a gateway's proxies are told of something."""
    node, stream, heard = Node("n", "edge", "gateway"), SotwStream(), asyncio.Queue[Effect]()
    stream.receive(SotwRequest(TypeUrl.ROUTES, ("edge/http",), node=node))

    def hear(effects: list[Effect]) -> None:
        for each in effects:
            heard.put_nowait(each)

    seat = control.worlds.join(node, "sotw", stream, hear)
    async with asyncio.timeout(30):
        while True:
            effect = await heard.get()
            if isinstance(effect, Send):
                if what.encode() in effect.payload:
                    return seat.leave()
                seat.receive(SotwRequest(TypeUrl.ROUTES, ("edge/http",), nonce=effect.nonce))


async def test_ports_that_the_system_chose_are_those_that_are_logged(records: Path) -> None:
    with capture_logs() as logged:
        async with serving(Settings(records, records.parent / "state", Address(LOOPBACK, 0), Address(LOOPBACK, 0))):
            [said] = [each for each in logged if each["event"] == "serving"]
            for name in ("xds", "admin"):
                host, _, port = said[name].partition(":")
                socket.create_connection((host, int(port)), timeout=5).close()


async def test_a_file_that_is_replaced_is_told_and_counted(records: Path) -> None:
    async with server(records) as (control, admin):
        new = records / ".new"
        new.write_text(release("shop", "new.test"), "utf-8")
        new.rename(records / "shop.yaml")
        await told(control, "new.test")

        async with aiohttp.ClientSession() as session, session.get(f"http://{LOOPBACK}:{admin}/metrics") as answer:
            assert 'xds_server_records{kind="Release"} 1.0' in await answer.text()


async def test_an_audience_ends_while_nothing_else_happens(records: Path) -> None:
    until = (clock() + timedelta(seconds=1)).isoformat()
    audience = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": until}
    (records / "shop.yaml").write_text(release("shop", "shop.test", audiences=[audience]), "utf-8")

    async with server(records) as (control, _):
        await told(control, "AudienceExpired")


async def test_an_audience_that_ends_while_nothing_can_be_written_ends_once_something_can(records: Path) -> None:
    async with server(records) as (control, _):
        until = (clock() + timedelta(seconds=2)).isoformat()
        audience = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": until}
        (records / "shop.yaml").write_text(release("shop", "shop.test", audiences=[audience]), "utf-8")
        await told(control, "acme.test")
        with full(control._store):
            ends = control.admission.wake_at
            assert ends is not None
            while clock() < ends + timedelta(milliseconds=50):  # noqa: ASYNC110 - it is about time
                await asyncio.sleep(0.01)
            assert control.admission.wake_at == ends, "it is late"
            assert [each.reason for each in control.problems] == [Reason.STATE_UNWRITABLE]
        await told(control, "AudienceExpired")


async def test_what_fails_in_it_ends_whoever_waits_inside(records: Path) -> None:
    """A state directory that is lost while the server runs."""

    async def waits() -> None:
        async with asyncio.timeout(20), server(records):
            with sqlite3.connect(records.parent / "state" / "state.db") as other:
                other.execute("DROP TABLE records")
            other.close()
            (records / "v3.yaml").write_text(SHOP["v2.yaml"].replace("v2", "v3"), "utf-8")
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        await waits()

    assert failed.group_contains(StateUnusable)


async def test_whatever_changes_something_is_refused_to_everybody_elsewhere(records: Path) -> None:
    """Every route of the server as it runs, by its own description."""
    async with server(records) as (_, admin), aiohttp.ClientSession(f"http://{LOOPBACK}:{admin}") as session:
        async with session.get("/openapi.json") as answer:
            paths = (await answer.json())["paths"]
        found = [(path, method) for path, operations in paths.items() for method in operations if method != "get"]
        assert {"/releases/{name}/rollback", "/freeze", "/records/apply"} <= {path for path, _ in found}

        for path, method in found:
            # A proxy on this machine asks for somebody else.
            headers = {"x-forwarded-for": "192.0.2.7"}
            async with session.request(method, path, json={}, headers=headers) as answer:
                changes = path not in QUESTIONS
                assert (answer.status == 403) is changes, path
                assert ("403" in paths[path][method]["responses"]) is changes, path
            async with session.request(method, path, json={}) as answer:
                assert answer.status in (400, 404), path
