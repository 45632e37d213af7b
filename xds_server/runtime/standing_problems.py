"""What is wrong now, as a metric. There may be many problems, and they change often: who reads it pays for it."""

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from xds_server.domain.problems import Problem

NAMED = 100
"""Records with problems that have a name in the metrics; those of all others are counted together, as `other`."""


class StandingProblems(Collector):
    """`now`: all of them."""

    def __init__(self) -> None:
        self.now: Sequence[Problem] = ()

    @override
    def collect(self) -> Iterator[Metric]:
        named = {*sorted({each.record for each in self.now})[:NAMED]}
        records = ((each, each.record if each.record in named else "other") for each in self.now)
        found = Counter((each.severity.value, each.reason.value, record) for each, record in records)
        what = "Faults in what the operator gave, or in what proxies made of it, now."
        family = GaugeMetricFamily("xds_server_problems", what, labels=["severity", "reason", "record"])
        for labels, count in found.items():
            family.add_metric(labels, count)
        yield family
