from time import perf_counter

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.protocol.events import Acked, Nacked, Node, Send, Stuck
from xds_server.runtime.metrics import Metrics
from xds_server.snapshot import Resource, Snapshot, TypeUrl

NODE = Node("edge-1", "edge", "gateway")


def test_what_happens_on_streams_is_counted() -> None:
    metrics = Metrics()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    metrics.opened(NODE, "delta")
    metrics.opened(NODE, "delta")
    metrics.closed(NODE, "delta")
    metrics.unknown(NODE)
    metrics.duplicate(NODE)
    metrics.stuck(NODE, Stuck(("a", "b")))
    cluster = Resource("v1/web", "1", b"")
    metrics.sent(NODE, Send(TypeUrl.CLUSTER, "1", b"12345", (cluster,), ("v0/web", "v9/web")))
    metrics.acked(NODE, Acked(TypeUrl.CLUSTER, "1", (cluster,), ()))
    metrics.acked(NODE, Acked(TypeUrl.CLUSTER, "", (cluster,), ()))
    metrics.nacked(NODE, Nacked(TypeUrl.ROUTES, "2", "why", {"edge/http": "1"}))

    assert value("xds_server_streams", mode="delta") == 1
    assert value("xds_server_unknown_proxies_total") == 1
    assert value("xds_server_duplicate_node_ids_total") == 1
    assert value("xds_server_stuck_clusters_total") == 2
    assert value("xds_server_responses_total", type="Cluster") == 1
    assert value("xds_server_resources_sent_total", type="Cluster") == 1
    assert value("xds_server_resources_removed_total", type="Cluster") == 2
    assert value("xds_server_response_bytes_total", type="Cluster") == 5
    assert value("xds_server_acks_total", type="Cluster") == 1, "what a client holds when it connects is no answer"
    assert value("xds_server_nacks_total", type="RouteConfiguration") == 1


EDGE = Ref("default", "edge")


def snapshot(version: str) -> Snapshot:
    routes = Map({"edge/http": Resource("edge/http", version, b"")})
    return Snapshot({TypeUrl.ROUTES: routes}, changed={TypeUrl.ROUTES: frozenset({"edge/http"})})


def acked(version: str, nonce: str = "1") -> Acked:
    return Acked(TypeUrl.ROUTES, nonce, (Resource("edge/http", version, b""),), ())


def test_a_flip_ends_when_a_proxy_that_was_there_accepts_it() -> None:
    metrics = Metrics()

    def flips() -> float | None:
        return metrics.registry.get_sample_value("xds_server_flip_seconds_count")

    metrics.opened(NODE, "delta")
    metrics.told(EDGE, snapshot("1"), 3, perf_counter())
    metrics.opened(Node("late-1", "edge", "gateway"), "delta")
    for node, answer in (
        (NODE, acked("0")),
        (NODE, acked("1", nonce="")),
        (Node("late-1", "edge", "gateway"), acked("1")),
        (NODE, Acked(TypeUrl.CLUSTER, "1", (Resource("edge/http", "1", b""),), ())),
    ):
        metrics.acked(node, answer)
    assert flips() == 0

    metrics.acked(NODE, acked("1"))
    assert flips() == 1
    metrics.acked(NODE, acked("1"))
    assert flips() == 1, "some are told the same again"


def test_an_acknowledgement_that_comes_after_the_next_change_counts_for_its_own() -> None:
    metrics = Metrics()
    metrics.opened(NODE, "delta")
    for version in "123":
        metrics.told(EDGE, snapshot(version), 1, perf_counter())
    for version in "123":
        metrics.acked(NODE, acked(version))

    assert metrics.registry.get_sample_value("xds_server_flip_seconds_count") == 2, "the last and the one before"


def test_proxies_of_all_ages_are_measured() -> None:
    metrics, older = Metrics(), Node("older-1", "edge", "gateway", version="1.36.4")
    newest = Resource("edge/http", "2", b"").for_envoys((1, 38), Resource("edge/http", "1", b""))
    routes = Snapshot({TypeUrl.ROUTES: Map({"edge/http": newest})}, changed={TypeUrl.ROUTES: frozenset({"edge/http"})})
    for node in (NODE, older):
        metrics.opened(node, "delta")
    metrics.told(EDGE, routes, 3, perf_counter())
    metrics.acked(NODE, acked("2"))
    metrics.acked(older, acked("1"))

    assert metrics.registry.get_sample_value("xds_server_flip_seconds_count") == 2


def test_an_alert_on_an_increase_sees_the_first_refusal() -> None:
    assert Metrics().registry.get_sample_value("xds_server_nacks_total", {"type": "Listener"}) == 0


def test_a_proxy_on_two_streams_is_connected_until_both_are_closed() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.opened(NODE, "delta")
    metrics.closed(NODE, "delta")
    metrics.told(EDGE, snapshot("1"), 3, perf_counter())
    metrics.acked(NODE, acked("1"))

    assert metrics.registry.get_sample_value("xds_server_flip_seconds_count") == 1


def test_what_a_gateway_can_be_told_is_counted_while_there_is_such_a_gateway() -> None:
    metrics = Metrics()

    def held(kind: str) -> float | None:
        return metrics.registry.get_sample_value("xds_server_resources", {"gateway": "edge", "type": kind})

    metrics.told(EDGE, snapshot("1"), 3, 0.0)
    assert (held("RouteConfiguration"), held("VirtualHost"), held("Cluster")) == (1, 3, 0)
    metrics.gone(EDGE)
    assert held("VirtualHost") is None


def host(name: str, version: str) -> Resource:
    return Resource(f"edge/http/{name}", version, b"")


def on_demand(serial: int, *hosts: Resource) -> Snapshot:
    found = Map({each.name: each for each in hosts})
    changed = {TypeUrl.VIRTUAL_HOST: frozenset(found)}
    return Snapshot({TypeUrl.VIRTUAL_HOST: found}, serial, serial - 1, changed, on_demand=True)


def test_a_virtual_host_that_is_told_on_demand_is_measured() -> None:
    metrics = Metrics()
    wildcard = host("*.shop.test", "2").for_names(lambda name: Resource(name, f"2 {name.rpartition('/')[2]}", b""))
    metrics.opened(NODE, "delta")
    metrics.flips(on_demand(0, host("shop.test", "1")), perf_counter())
    metrics.acked(NODE, Acked(TypeUrl.VIRTUAL_HOST, "1", (host("shop.test", "1"),), ()))
    count = "xds_server_flip_seconds_count"
    assert metrics.registry.get_sample_value(count) == 0, "what there is at first is no change"

    metrics.flips(on_demand(1, host("shop.test", "2"), wildcard), perf_counter())
    told = (host("shop.test", "2"), host("a.shop.test", "2 a.shop.test"), host("b.shop.test", "1 b.shop.test"))
    metrics.acked(NODE, Acked(TypeUrl.VIRTUAL_HOST, "2", told, ()))
    assert metrics.registry.get_sample_value(count) == 2
