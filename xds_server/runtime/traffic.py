"""What becomes of requests, under Prometheus' conventions: asked for when somebody looks.

Only of deployments that are in force: with a deployment its series go from here. What they say is kept.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.domain.statistics import BUCKETS, CLASSES, EDGES, Series, What
from xds_server.records.world import World
from xds_server.runtime.telemetry import Telemetry
from xds_server.telemetry.names import SUM

WHERE = ("app", "deployment", "component")
RULED = (*WHERE, "rule")
COUNTERS = {
    What.TIMEOUTS.value: ("xds_request_timeouts", "Requests that were not answered in time."),
    What.RETRIES.value: ("xds_request_retries", "Requests that were tried again."),
    What.CONNECT_FAILURES.value: ("xds_connect_failures", "Connections to instances that failed."),
    What.OVERFLOW.value: ("xds_overflows", "Requests refused because too many waited for a connection."),
}
GRPC = "grpc."

Counted = list[tuple[tuple[str, ...], Series, int]]
"""Labels of where, the series, and how much."""


class Members(NamedTuple):
    """The least that any proxy says."""

    healthy: int
    members: int


class Traffic(Collector):
    """The metrics of a fleet. `world` is asked which deployments there are, and of which app."""

    def __init__(self, telemetry: Telemetry, world: Callable[[], World]) -> None:
        self._telemetry = telemetry
        self._world = world

    @override
    def collect(self) -> Iterator[Metric]:
        apps = {ref: app.app.word for app in self._world().apps.values() for ref in app.deployments}
        counted: Counted = [
            ((apps[series.deployment], series.deployment.word, series.component), series, total)
            for series, total in sorted(self._telemetry.totals.sums().items())
            if series.deployment in apps
        ]
        yield _requests(counted)
        yield _calls(counted)
        yield from _counters(counted)
        yield _latency(counted)
        yield from self._members(apps)
        yield from self._own()

    def _members(self, apps: dict[Ref, str]) -> Iterator[Metric]:
        """As the proxy sees it that sees least: who is there for it is there for its requests."""
        healthy = GaugeMetricFamily("xds_members_healthy", "Healthy instances, where fewest are seen.", labels=WHERE)
        members = GaugeMetricFamily("xds_members", "Instances, where fewest are seen.", labels=WHERE)
        for (deployment, component), said in self._telemetry.totals.members().items():
            if deployment in apps:
                labels = (apps[deployment], deployment.word, component)
                healthy.add_metric(labels, min(each[0] for each in said))
                members.add_metric(labels, min(each[1] for each in said))
        yield healthy
        yield members

    def _own(self) -> Iterator[Metric]:
        telemetry = self._telemetry
        yield CounterMetricFamily("xds_server_flushes", "Exports of telemetry taken.", telemetry.taken)
        yield CounterMetricFamily("xds_server_flush_bytes", "Bytes of them.", telemetry.bytes)
        lost = CounterMetricFamily("xds_server_flushes_lost", "Exports not taken, by why.", labels=["reason"])
        for why, count in telemetry.lost.items():
            lost.add_metric([why], count)
        yield lost
        gaps = CounterMetricFamily("xds_server_flush_gaps", "Exports that are in no tick, by why.", labels=["reason"])
        for gap, number in telemetry.flushes.gaps.items():
            gaps.add_metric([gap], number)
        yield gaps
        refused = telemetry.totals.refused + telemetry.totals.names.refused
        yield CounterMetricFamily("xds_server_totals_refused", "Totals that found no room.", refused)
        yield GaugeMetricFamily("xds_server_totals", "Totals that are kept, of all proxies.", telemetry.totals.kept)


def _requests(counted: Counted) -> Metric:
    family = CounterMetricFamily("xds_requests", "Requests answered, by class of status.", labels=[*RULED, "class"])
    for where, series, total in counted:
        if series.what in CLASSES:
            family.add_metric([*where, series.rule, series.what], total)
    return family


def _calls(counted: Counted) -> Metric:
    family = CounterMetricFamily("xds_grpc_calls", "gRPC calls answered, by status.", labels=[*WHERE, "status"])
    for where, series, total in counted:
        if series.what.startswith(GRPC):
            family.add_metric([*where, series.what.removeprefix(GRPC)], total)
    return family


def _counters(counted: Counted) -> Iterator[Metric]:
    for what, (name, documentation) in COUNTERS.items():
        family = CounterMetricFamily(name, documentation, labels=WHERE)
        for where, series, total in counted:
            if series.what == what:
                family.add_metric(where, total)
        yield family


def _latency(counted: Counted) -> Metric:
    family = HistogramMetricFamily("xds_request_duration_seconds", "How long instances took.", labels=RULED)
    found: defaultdict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
    for where, series, total in counted:
        if series.what == SUM or series.what in BUCKETS:
            found[*where, series.rule][series.what] = total
    for labels, of in found.items():
        family.add_metric(labels, list(_buckets(of)), of.get(SUM, 0) / 1000)
    return family


def _buckets(of: dict[str, int]) -> Iterator[tuple[str, float]]:
    """Each holds those below it, too."""
    below = 0
    for edge, name in zip([*_seconds(EDGES), "+Inf"], BUCKETS, strict=True):
        below += of.get(name, 0)
        yield edge, below


def _seconds(milliseconds: Iterable[float]) -> list[str]:
    return [str(edge / 1000) for edge in milliseconds]
