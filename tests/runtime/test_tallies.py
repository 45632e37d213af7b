from prometheus_client import CollectorRegistry

from xds_server.protocol.events import Send
from xds_server.runtime.tallies import Tallies
from xds_server.snapshot import Resource, TypeUrl


def test_a_type_is_counted_from_zero_on_and_a_strange_one_from_when_it_is_asked_for() -> None:
    tallies = Tallies()
    registry = CollectorRegistry()
    registry.register(tallies)

    def value(name: str, kind: str) -> float | None:
        return registry.get_sample_value(f"xds_server_{name}_total", {"type": kind})

    assert (value("responses", "Cluster"), value("responses", "Runtime")) == (0, None)

    tallies.sent(Send(TypeUrl.CLUSTER, "1", b"12345", (Resource("a", "1", b""),), ("b", "c")))
    tallies.of("type.googleapis.com/envoy.service.runtime.v3.Runtime").nacks += 1

    assert [value(name, "Cluster") for name in ("responses", "resources_sent", "resources_removed")] == [1, 1, 2]
    assert (value("response_bytes", "Cluster"), value("nacks", "Cluster"), value("nacks", "Runtime")) == (5, 0, 1)
