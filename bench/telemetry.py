"""What a flush costs the server: CPU to fold what a proxy of many clusters sends, and to write it down.

Once of an Envoy that sends what is read, and once of one that sends everything that it counts (1.36, or a bootstrap
without `--envoy-version`): about 25 more names for each cluster. In every flush all clusters have had requests.
"""

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bench.report import Figure, parser, report
from xds_server.domain.statistics import EDGES
from xds_server.messages.metrics import export, metrics
from xds_server.state.store import Store
from xds_server.telemetry import Flush, Flushes, Names, Reading
from xds_server.telemetry.minutes import Minutes

START = 1_700_000_000
UNREAD = 25
"""Further stats of a cluster that Envoy has, whatever happens to it."""


def flush(clusters: int, number: int, unread: int) -> bytes:
    request = ExportMetricsServiceRequest()
    sent = request.resource_metrics.add().scope_metrics.add().metrics
    at: dict[str, Any] = {"time_unix_nano": (START + number) * 10**9, "start_time_unix_nano": START * 10**6}

    def gauge(name: str, value: int) -> None:
        sent.add(name=name).gauge.data_points.add(as_int=value, time_unix_nano=at["time_unix_nano"])

    gauge("server.uptime", number)
    for each in range(clusters):
        stat = f"app{each}-v1/web"
        rule = f"cluster.{stat}.rule/default.upstream_rq_"
        gauge(f"cluster.{stat}.membership_healthy", 3)
        gauge(f"cluster.{stat}.membership_total", 3)
        for what in ("2xx", "5xx"):
            sent.add(name=rule + what).sum.data_points.add(as_int=100 * number, **at)
        latency = sent.add(name=f"{rule}time").histogram.data_points.add(count=200 * number, sum=5.0 * number, **at)
        latency.bucket_counts.extend([0, 50 * number, 100 * number, 50 * number] + [0] * (len(EDGES) - 3))
        latency.explicit_bounds.extend(EDGES)
        for other in range(unread):
            gauge(f"cluster.{stat}.circuit_breakers.default.unread_{other}_open", 0)
    return request.SerializeToString()


def read(names: Names, encoded: bytes) -> Flush:
    reading = Reading(names)
    reading.take(metrics(export(encoded)))
    found = reading.flush()
    assert found is not None
    return found


class Measured(NamedTuple):
    """Milliseconds of CPU to fold a flush, to write it, and to add it to a minute; to close that; bytes of a flush."""

    folded: float
    written: float
    added: float
    closed: float
    size: int


def measure(clusters: int, flushes: int, unread: int) -> Measured:
    encoded = [flush(clusters, number, unread) for number in range(1, flushes + 2)]
    folded = written = 0.0
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        totals = store.counted.load().totals(0)
        heard, minutes = Flushes(totals.names), Minutes(totals.names)
        for number, each in enumerate(encoded):
            begun = time.process_time()
            heard.hear(totals.fold("edge-1", read(totals.names, each), number))
            then = time.process_time()
            store.counted.keep(totals.names.unsaved, list(totals.unsaved))
            totals.names.unsaved.clear()
            if number:  # the first one learns all names
                folded += then - begun
                written += time.process_time() - then
        begun = time.process_time()
        for whole in heard.since(0):
            minutes.hear(whole)
        then = time.process_time()
        for told in minutes.close():
            store.counted.minutes.keep(minutes.now, told)
        closed = time.process_time() - then
    folded, written, added = (1000 * spent / flushes for spent in (folded, written, then - begun))
    return Measured(folded, written, added, 1000 * closed, len(encoded[-1]))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--clusters", type=int, default=1000, help="of which every one has requests (default 1000)")
    options.add_argument("--flushes", type=int, default=20, help="that are measured (default 20)")
    asked = options.parse_args()
    figures = []
    for name, unread in (("what is read", 0), ("everything", UNREAD)):
        found = measure(asked.clusters, asked.flushes, unread)
        title = f"{asked.clusters:,} clusters, {name}"
        figures += [
            Figure(f"{title}: fold", found.folded, "ms"),
            Figure(f"{title}: write", found.written, "ms"),
            Figure(f"{title}: add to a minute", found.added, "ms"),
            Figure(f"{title}: close a minute", found.closed, "ms"),
            Figure(f"{title}: size", found.size / 1000, "kB"),
        ]
    report("telemetry", figures, asked.json)


if __name__ == "__main__":
    main()
