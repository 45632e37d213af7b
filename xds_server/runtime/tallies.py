"""What streams say and hear, counted by type.

A fan-out counts six things for each proxy, so to count is to add to a number; who reads the metrics pays for the rest.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from xds_server.protocol.events import Send
from xds_server.snapshot import TypeUrl, kind_of

FAMILIES = (
    ("responses", "Responses sent."),
    ("resources_sent", "Resources sent."),
    ("resources_removed", "Removals sent."),
    ("response_bytes", "Bytes of responses sent."),
    ("acks", "Responses accepted."),
    ("nacks", "Responses refused."),
)


class Tally:
    """The counts of one type."""

    __slots__ = ("acks", "nacks", "resources_removed", "resources_sent", "response_bytes", "responses")

    def __init__(self) -> None:
        self.responses = self.resources_sent = self.resources_removed = self.response_bytes = 0
        self.acks = self.nacks = 0


class Tallies(Collector):
    """There from the start for the types that are served: an alert on an increase must see the first one."""

    def __init__(self) -> None:
        self._of: dict[str, Tally] = {kind: Tally() for kind in TypeUrl}

    def of(self, type_url: str) -> Tally:
        found = self._of.get(type_url)
        if found is None:
            found = self._of[type_url] = Tally()
        return found

    def sent(self, send: Send) -> None:
        tally = self.of(send.type_url)
        tally.responses += 1
        tally.resources_sent += len(send.resources)
        tally.resources_removed += len(send.removed)
        tally.response_bytes += len(send.payload)

    @override
    def collect(self) -> Iterator[Metric]:
        for name, documentation in FAMILIES:
            family = CounterMetricFamily(f"xds_server_{name}", documentation, labels=["type"])
            for type_url, tally in self._of.items():
                family.add_metric([kind_of(type_url)], getattr(tally, name))
            yield family
