"""Who counts, and for how long, and what of that is to be kept."""

from xds_server.domain.names import Ref
from xds_server.protocol.events import Node
from xds_server.protocol.sotw import SotwStream
from xds_server.runtime.presence import GRACE, Presence
from xds_server.transport.connections import Connection, Connections

SHOP = Ref("default", "shop")
EDGE = Node("edge-1", "edge", "gateway")
WEB = Node("web-1", "shop/web", "sidecar", build="b1")


class Fleet:
    def __init__(self) -> None:
        self.connections = Connections()
        self.presence = Presence(self.connections)

    def opens(self, node: Node) -> Connection:
        connection = self.connections.enter(node, "sotw", SotwStream())
        self.presence.opened(connection.node)
        return connection

    def closes(self, connection: Connection, now: float = 0.0) -> None:
        self.connections.leave(connection)
        self.presence.closed(connection.node, now)

    @property
    def there(self) -> tuple[list[str], list[str]]:
        """The sidecars of the shop, and the gateways."""
        return [each.id for each in self.presence.beside(SHOP)], [each.id for each in self.presence.gateways]

    @property
    def news(self) -> dict[str, bool]:
        """Who is to be kept, and who to be forgotten."""
        return {name: node is not None for (_, _, name), node in self.presence.take_changed().items()}


def test_who_is_lost_counts_for_a_moment() -> None:
    fleet = Fleet()
    edge, web = fleet.opens(EDGE), fleet.opens(WEB)
    assert fleet.there == (["web-1"], ["edge-1"])
    assert fleet.news == {"edge-1": True, "web-1": True}

    fleet.closes(web, 100.0)
    fleet.closes(edge, 101.0)
    assert fleet.presence.wake_at == 100.0 + GRACE
    assert fleet.presence.wake(100.0 + GRACE - 0.1) == []
    assert fleet.there == (["web-1"], ["edge-1"])
    assert fleet.presence.wake(100.0 + GRACE) == ["web-1"]
    assert fleet.there == ([], ["edge-1"])
    assert fleet.presence.wake(101.0 + GRACE) == ["edge-1"]
    assert fleet.there == ([], [])
    assert fleet.presence.wake_at is None
    assert fleet.news == {"edge-1": False, "web-1": False}


def test_who_comes_back_has_never_been_gone() -> None:
    fleet = Fleet()
    web = fleet.opens(WEB)
    assert fleet.news == {"web-1": True}
    fleet.closes(web)
    fleet.opens(WEB)
    assert fleet.presence.wake_at is None
    assert fleet.presence.wake(GRACE) == []
    assert not fleet.presence.has_changed


def test_a_proxy_with_another_stream_is_not_lost() -> None:
    fleet = Fleet()
    old = fleet.opens(WEB)
    fleet.opens(WEB)
    fleet.closes(old)
    assert fleet.presence.wake_at is None


def test_who_is_somewhere_else_is_there_no_more() -> None:
    fleet = Fleet()
    fleet.closes(fleet.opens(WEB))
    assert fleet.news == {"web-1": True}
    fleet.opens(Node("web-1", "blog/web", "sidecar", build="b1"))
    assert fleet.there == ([], [])
    assert [each.id for each in fleet.presence.beside(Ref("default", "blog"))] == ["web-1"]
    assert {key[1]: node is not None for key, node in fleet.presence.take_changed().items()} == {
        "shop/web": False,
        "blog/web": True,
    }


def test_who_was_there_before_a_restart_has_the_same_time_to_come_back() -> None:
    fleet = Fleet()
    fleet.opens(EDGE)
    fleet.presence.take_changed()
    fleet.presence.recall([EDGE, WEB], 5.0)
    assert fleet.there == (["web-1"], ["edge-1"])
    assert not fleet.presence.has_changed, "they are kept"
    assert fleet.presence.wake(5.0 + GRACE) == ["web-1"]
    assert fleet.news == {"web-1": False}
