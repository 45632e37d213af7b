import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xds_server.cli.ctl import app as xdsctl
from xds_server.cli.demo_order import REMEMBERED, Component, Place, Ways, builds, order_records, way_line

LOGGED = {"deployment": "order-v3", "status": 200, "duration_ms": 4, "path": "/api/review", "request_id": "r"}
REVIEW = {"build": "review@r1"}
WAY = {"build": "ui@u2", "called": "api", "answer": {"build": "api@a2", "called": "review", "answer": REVIEW}}
REFUSED = {"build": "api@a2", "called": "review", "answer": {"reason": "ComponentAbsent", "message": "..."}}


@pytest.mark.parametrize(
    ("entry", "said", "line"),
    [
        ({}, WAY, "order-v3  gateway -> ui@u2 -> api@a2 -> review@r1  200  4 ms  /api/review"),
        ({"status": 502}, REFUSED, "order-v3  gateway -> api@a2 -> review (ComponentAbsent)  502  4 ms  /api/review"),
        ({"status": 404, "deployment": None}, None, "-         gateway  404  4 ms  /api/review"),
    ],
    ids=["through-three-builds", "refused-by-a-sidecar", "refused-by-the-gateway"],
)
def test_a_way_is_one_line(entry: dict[str, Any], said: dict[str, Any] | None, line: str) -> None:
    assert way_line(LOGGED | entry, said).plain == line


def test_each_deployment_has_a_colour_of_its_own() -> None:
    lines = [way_line(LOGGED | {"deployment": f"order-v{number}"}, WAY) for number in (1, 2, 3)]
    assert len({str(line.spans[0].style) for line in lines}) == 3


def test_only_the_latest_ways_are_remembered() -> None:
    ways = Ways()
    for number in range(REMEMBERED + 1):
        ways.note(str(number), REVIEW)
    assert ways.take("0") is None
    assert ways.take("1") == REVIEW
    assert ways.take("1") is None


def test_the_records_have_no_problem(tmp_path: Path) -> None:
    places = {build: Place(1, 8000 + number, 2, 3) for number, build in enumerate(builds())}
    for name, text in order_records(10000, places).items():
        (tmp_path / name).write_text(text, "utf-8")
    checked = CliRunner().invoke(xdsctl, ["check", str(tmp_path)])

    assert "0 errors, 0 warnings" in checked.output


async def answered(component: Component, path: str, *headers: tuple[bytes, bytes]) -> tuple[int, Any]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await component({"path": path, "headers": list(headers)}, None, send)
    start, body = sent
    return start["status"], json.loads(body["body"])


async def test_a_component_forwards_baggage_alone_and_passes_on_the_status() -> None:
    heard: list[bytes] = []

    async def sidecar(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 12\r\n\r\n{"reason":1}')
        writer.close()

    ways = Ways()
    async with await asyncio.start_server(sidecar, "127.0.0.1", 0) as server:
        component = Component("ui@u1", server.sockets[0].getsockname()[1], ways)
        told = [(b"x-deployment", b"order-v2"), (b"baggage", b"a=1"), (b"x-request-id", b"r")]
        status, said = await answered(component, "/api/review", *told, (b"cookie", b"secret"))

    assert heard == [b"GET /review HTTP/1.1\r\nhost: api\r\nbaggage: a=1\r\n\r\n"]
    assert (status, said["answer"]) == (502, {"reason": 1})
    assert ways.take("r") == said


async def test_its_own_name_at_the_front_of_a_path_is_no_call() -> None:
    assert await answered(Component("worker@w1", 1, Ways()), "/worker") == (
        200,
        {"build": "worker@w1", "deployment": ""},
    )
