from tests.records.folder import SHOP, Server
from xds_server.domain.versions import Minor
from xds_server.protocol.events import Node
from xds_server.runtime.connected import Connected

OLD, TWIN = (Node(name, "edge", "gateway", version="1.35.7") for name in ("edge-1", "edge-2"))
CURRENT, FLOOR = (Node("edge-3", "edge", version=version) for version in ("1.40.0", "1.36.4"))


class Heard:
    """What is connected, and how often it was said that something changed."""

    def __init__(self) -> None:
        self.changes = 0
        self.connected = Connected(self.change)

    def change(self) -> None:
        self.changes += 1

    @property
    def problems(self) -> list[str]:
        return [str(each) for each in self.connected.problems(Server(SHOP).admission)]


def test_the_oldest_that_is_served_counts() -> None:
    heard = Heard()
    oldest: list[Minor | None] = [heard.connected.oldest]
    for node in (CURRENT, FLOOR, OLD, FLOOR):
        heard.connected.opened(node, "delta")
        oldest.append(heard.connected.oldest)
    for node in (FLOOR, FLOOR, CURRENT):
        heard.connected.closed(node, "delta")
        oldest.append(heard.connected.oldest)

    assert oldest == [None, (1, 40), (1, 36), (1, 36), (1, 36), (1, 36), (1, 40), None]
    assert heard.changes == 5, "the second of one version is no news"


def test_a_proxy_that_is_told_nothing_is_a_problem_of_its_gateway_while_it_is_connected() -> None:
    heard = Heard()
    heard.connected.opened(OLD, "delta")
    [problem] = heard.problems
    assert problem == (
        "edge.yaml:1 (document 1): error: Gateway/default/edge: proxy edge-1, Envoy 1.35.7, is told nothing: it would "
        "drop fields that it does not know. Run Envoy 1.36 or later; until then it serves what it was told before, if "
        "anything. [OldEnvoy]"
    )

    heard.connected.opened(TWIN, "sotw")
    [both] = heard.problems
    assert "proxy edge-1, Envoy 1.35.7, and others are told nothing" in both

    for node in (OLD, TWIN):
        heard.connected.closed(node, "delta")
    assert heard.problems == []


def test_one_of_no_gateway_is_nobodys_problem() -> None:
    heard = Heard()
    heard.connected.opened(Node("lost-1", "nowhere", "gateway", version="1.20.0"), "delta")

    assert heard.problems == []
