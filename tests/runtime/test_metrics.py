from prometheus_client import generate_latest

from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.protocol.events import Acked, Nacked, Node, Send, Stuck
from xds_server.runtime.metrics import Metrics
from xds_server.snapshot import Resource, TypeUrl

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


def test_problems_are_counted_by_severity_and_reason_and_go_again() -> None:
    metrics = Metrics()
    problem = Problem(Place("a"), Reason.WEIGHTS, "", "")
    warning = Problem(Place("a"), Reason.NOT_IN_FORCE, "", "", severity=Severity.WARNING)

    metrics.problems([problem, warning, warning])
    text = generate_latest(metrics.registry).decode()
    assert 'xds_server_problems{reason="Weights",severity="error"} 1.0' in text
    assert 'xds_server_problems{reason="NotInForce",severity="warning"} 2.0' in text

    metrics.problems([])
    assert "Weights" not in generate_latest(metrics.registry).decode()
