import asyncio
from io import StringIO
from pathlib import Path

from rich.console import Console

from tests.conftest import Golden
from xds_server.cli import demo_mesh
from xds_server.cli.demo_mesh import MeshLive, MeshRunning
from xds_server.cli.demo_order import Place, Ways, builds
from xds_server.protocol.events import Acked, Node, Send
from xds_server.snapshot import Resource, TypeUrl

ROUTE = Resource("edge/http", "1", b"")


def printed() -> tuple[Console, StringIO]:
    text = StringIO()
    return Console(file=text, width=100, highlight=False, soft_wrap=True), text


def test_what_it_says(golden: Golden) -> None:
    console, text = printed()
    places = {build: Place(1, 2, 3, 9900 + number) for number, build in enumerate(builds())}
    demo_mesh.say(console, MeshRunning(10000, 18001, places, Path("/tmp/demo/records")), "xdsctl")

    golden.check("output.txt", text.getvalue())


def told(live: MeshLive, node: str, nonce: str) -> None:
    live.sent(Node(node), Send(TypeUrl.ROUTES, nonce, b"", (ROUTE,), ()))
    live.acked(Node(node), Acked(TypeUrl.ROUTES, nonce, (ROUTE,), ()))


def test_it_is_ready_when_every_proxy_has_routes() -> None:
    console, _ = printed()
    live = MeshLive(console, 2)
    told(live, "ui@u1", "1")
    told(live, "ui@u1", "2")
    assert not live.all.is_set()
    told(live, "edge", "1")
    assert live.all.is_set()


def test_a_change_is_live_when_the_gateway_has_it_and_sidecars_say_nothing() -> None:
    console, text = printed()
    live = MeshLive(console, 2)
    for node, nonce in (("edge", "1"), ("ui@u1", "1"), ("ui@u1", "2"), ("edge", "2")):
        told(live, node, nonce)

    assert text.getvalue().count("live: Envoy took the new routes in") == 1


async def test_lines_of_the_log_that_are_no_requests_are_left_out() -> None:
    console, text = printed()
    log = asyncio.StreamReader()
    log.feed_data(b'starting\n{"deployment": "order-v1", "status": 200, "duration_ms": 2, "path": "/"}\n')
    log.feed_eof()
    await demo_mesh._draw(console, log, Ways())

    assert text.getvalue() == "order-v1  gateway  200  2 ms  /\n"
