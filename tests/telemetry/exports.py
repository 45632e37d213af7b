"""Exports as Envoys send them, built with the official definitions."""

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from xds_server.domain.statistics import EDGES
from xds_server.telemetry import Flush, Names, Reading

START = 1_700_000_000
"""Seconds."""
RULE = "cluster.shop-{}/web.rule/default.upstream_rq_{}"


def exported(
    counters: Mapping[str, int],
    uptime: int = 10,
    *,
    start: int = START,
    gauges: Mapping[str, int] | None = None,
    latency: Mapping[str, Sequence[int]] | None = None,
    node: str = "",
    oldest: bool = False,
    edges: Sequence[float] = EDGES,
) -> bytes:
    """`oldest`: as Envoy 1.36 does, which says when it flushed last in place of its start."""
    time = (start + uptime) * 10**9
    began = time - 10**9 if oldest else start * 10**6
    request = ExportMetricsServiceRequest()
    of = request.resource_metrics.add()
    if node:
        of.resource.attributes.add(key="service.instance.id").value.string_value = node
    metrics = of.scope_metrics.add().metrics
    for name, value in {"server.uptime": uptime, **(gauges or {})}.items():
        point = metrics.add(name=name).gauge.data_points.add(as_int=value, time_unix_nano=time)
        point.start_time_unix_nano = began if oldest else 0
    for name, value in counters.items():
        total = metrics.add(name=name).sum
        total.is_monotonic, total.aggregation_temporality = True, AGGREGATION_TEMPORALITY_CUMULATIVE
        total.data_points.add(as_int=value, time_unix_nano=time, start_time_unix_nano=began)
    for name, buckets in (latency or {}).items():
        distribution = metrics.add(name=name).histogram.data_points.add(time_unix_nano=time, start_time_unix_nano=began)
        distribution.count, distribution.sum = sum(buckets), 1234.5
        distribution.bucket_counts.extend(buckets)
        distribution.explicit_bounds.extend(edges)
    return request.SerializeToString()


def flush_of(names: Names, encoded: bytes) -> Flush:
    from xds_server.messages.metrics import export, metrics

    reading = Reading(names)
    reading.take(metrics(export(encoded)))
    found = reading.flush()
    assert found is not None
    return found
