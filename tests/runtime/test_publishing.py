import asyncio

from tests.records.folder import SHOP, deployment, gateway
from tests.runtime.test_control import Server
from tests.runtime.test_worlds import Proxy
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.sidecars import Sidecar
from xds_server.protocol.events import Nacked, Node
from xds_server.snapshot import TypeUrl
from xds_server.state.store import Store

BESIDE = Node("web-1-1", "shop/web", "sidecar", "b1")
WEB = Sidecar(BuildId(Ref("default", "shop"), "web", "b1"))


def test_gateways_come_and_go(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    assert server.snapshot("inner") is None

    server.hears({"inner.yaml": gateway("inner")})
    assert server.snapshot("inner") is not None

    server.hears({"inner.yaml": None})
    assert server.snapshot("inner") is None


async def test_a_sidecar_is_told_of_its_app_once_there_is_a_world(store: Store) -> None:
    server = Server(store)
    proxy = Proxy(server.control.worlds, BESIDE)
    assert server.control.worlds.told(WEB) is None

    server.hears(SHOP, complete=True)
    told = server.control.worlds.told(WEB)
    assert told is not None
    assert set(told.of(TypeUrl.LISTENER)) == {"shop/web@b1/outbound"}

    server.hears({"edge.yaml": gateway(template=".p.test")})
    assert server.control.worlds.told(WEB) is told, "it concerns gateways"
    server.hears({"v3.yaml": deployment("v3", "b1")})
    assert server.control.worlds.told(WEB) is not told

    proxy.seat.leave()
    assert server.control.worlds.told(WEB) is None


async def test_a_sidecar_that_connects_later_is_told_what_is_in_force(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    Proxy(server.control.worlds, BESIDE)
    await asyncio.sleep(0)

    assert server.control.worlds.told(WEB) is not None


async def test_what_a_sidecar_refuses_is_a_problem_of_its_build(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    Proxy(server.control.worlds, BESIDE)
    await asyncio.sleep(0)
    told = server.control.worlds.told(WEB)
    assert told is not None
    listener = told.of(TypeUrl.LISTENER)["shop/web@b1/outbound"]

    for observer in server.control.observers:
        observer.opened(BESIDE, "delta")
        observer.nacked(BESIDE, Nacked(TypeUrl.LISTENER, "1", "cannot bind", {listener.name: listener.version}))
    [problem] = [each for each in server.control.problems if each.reason == "Refused"]
    assert (problem.record, problem.what) == (
        "Build/default/web-1",
        "proxy web-1-1 refuses Listener shop/web@b1/outbound: cannot bind",
    )
