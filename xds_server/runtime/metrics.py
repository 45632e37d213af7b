"""What the server counts about itself, under Prometheus' naming conventions."""

from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from typing_extensions import override

from xds_server import __version__
from xds_server.domain import names
from xds_server.domain.names import Ref, wildcards_over
from xds_server.domain.problems import Problem
from xds_server.ledger.carrier import CARRIERS, versions_of
from xds_server.ports import Observer
from xds_server.protocol.events import Acked, Nacked, Node, Quarantined, Send, Stuck, Untried
from xds_server.runtime.standing_problems import StandingProblems
from xds_server.runtime.tallies import Tallies
from xds_server.snapshot import Resource, Snapshot, TypeUrl, kind_of

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
MEASURED = 500
"""Changes on their way whose arrival is measured; of more, the newest."""


class Flip(NamedTuple):
    """A change of routes or of a virtual host on its way: what it is, when it was heard of, who has it.

    `before`: the one before it, of which an acknowledgement may be late.
    """

    resource: Resource
    heard: float
    counted: set[str]
    before: "Flip | None" = None


class Metrics(Observer):
    """Counts of one server, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        Gauge("xds_server_build_info", "Always 1; the version is a label.", ["version"], registry=registry).labels(
            __version__
        ).set(1)
        self._streams = Gauge("xds_server_streams", "Open xDS streams.", ["mode"], registry=registry)
        self._unknown = Counter(
            "xds_server_unknown_proxies",
            "Streams of proxies that are told nothing: of no known gateway, or too old.",
            registry=registry,
        )
        self._duplicates = Counter(
            "xds_server_duplicate_node_ids", "Streams whose node id another live stream has.", registry=registry
        )
        self._tallies = Tallies()
        registry.register(self._tallies)
        self._stuck = Counter("xds_server_stuck_clusters", "Clusters that did not warm in time.", registry=registry)
        self._running = Gauge(
            "xds_server_trials", "Contents that one proxy of a kind tries before others are told.", registry=registry
        )
        self._quarantined = Counter(
            "xds_server_quarantined",
            "Contents that the first proxy of a kind refused, so that no other was told.",
            ["type"],
            registry=registry,
        )
        self._untried = Counter(
            "xds_server_untried",
            "Contents that everybody was told because no proxy answered in time that was told first.",
            ["type"],
            registry=registry,
        )
        for counter in (self._quarantined, self._untried):
            for kind in TypeUrl:
                counter.labels(kind_of(kind))
        self._problems = StandingProblems()
        registry.register(self._problems)
        self._records = Gauge("xds_server_records", "Records in force, by kind.", ["kind"], registry=registry)
        self._resources_held = Gauge(
            "xds_server_resources", "What the proxies of a gateway can be told.", ["gateway", "type"], registry=registry
        )
        self._flips = Histogram(
            "xds_server_flip_seconds",
            "From hearing of a change of routes, or of a virtual host, to each connected proxy's ACK of it.",
            buckets=SECONDS,
            registry=registry,
        )
        self._connected: dict[str, list[float]] = {}
        self._flipping: dict[str, Flip] = {}
        self.admission = Histogram(
            "xds_server_admission_seconds",
            "From a change of files to what is in force.",
            buckets=SECONDS,
            registry=registry,
        )
        self.compilation = Histogram(
            "xds_server_compile_seconds", "From what is in force to snapshots.", buckets=SECONDS, registry=registry
        )

    def trials(self, running: Callable[[], float]) -> None:
        """How many contents are on trial is asked when somebody looks."""
        self._running.set_function(running)

    def records(self, kinds: Iterable[tuple[str, int]]) -> None:
        """How many records of each kind came into force or left."""
        for kind, change in kinds:
            self._records.labels(kind).inc(change)

    def problems(self, problems: Iterable[Problem]) -> None:
        self._problems.now = tuple(problems)

    def told(self, gateway: Ref, snapshot: Snapshot, virtual_hosts: int, heard: float) -> None:
        """A gateway's proxies are told of another world, because of what was heard at that `perf_counter()`."""
        for kind in TypeUrl:
            self._resources_held.labels(gateway.word, kind_of(kind)).set(len(snapshot.of(kind)))
        self._resources_held.labels(gateway.word, "VirtualHost").set(virtual_hosts)
        self.flips(snapshot, heard)

    def flips(self, snapshot: Snapshot, heard: float) -> None:
        """What carries requests differs in this snapshot, because of what was heard then."""
        for kind in CARRIERS:
            # All that there is at first is no change, and nobody has it.
            changed = snapshot.changed.get(kind, ()) if snapshot.since >= 0 or kind is TypeUrl.ROUTES else ()
            for name in islice(changed, MEASURED):
                before = self._flipping.pop(name, None)
                found = snapshot.of(kind).get(name)
                if found is not None:
                    self._flipping[name] = Flip(found, heard, set(), before and before._replace(before=None))
        while len(self._flipping) > MEASURED:
            del self._flipping[next(iter(self._flipping))]

    def gone(self, gateway: Ref) -> None:
        """There is no such gateway any more."""
        for kind in map(kind_of, TypeUrl):
            self._resources_held.remove(gateway.word, kind)
        for name in [name for name in self._flipping if names.owner(name)[0] == gateway]:
            del self._flipping[name]

    @override
    def opened(self, node: Node, mode: str) -> None:
        self._streams.labels(mode).inc()
        self._connected.setdefault(node.id, []).append(perf_counter())

    @override
    def closed(self, node: Node, mode: str) -> None:
        self._streams.labels(mode).dec()
        since = self._connected.get(node.id, [])
        if len(since) > 1:
            since.pop(0)
        else:
            self._connected.pop(node.id, None)

    @override
    def unknown(self, node: Node) -> None:
        self._unknown.inc()

    @override
    def duplicate(self, node: Node) -> None:
        self._duplicates.inc()

    @override
    def sent(self, node: Node, send: Send) -> None:
        self._tallies.sent(send)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        if acked.nonce:
            self._tallies.of(acked.type_url).acks += 1
        if acked.nonce and acked.type_url in CARRIERS:
            for taken in acked.resources:
                self._measure(node, taken)

    def _measure(self, node: Node, taken: Resource) -> None:
        """Each proxy counts once for a change: who connected later was not waited for, and some are told again."""
        flip = self._flip_of(taken)
        since = self._connected.get(node.id)
        if flip is None or node.id in flip.counted:
            return
        flip.counted.add(node.id)
        if since and since[0] <= flip.heard:
            self._flips.observe(perf_counter() - flip.heard)

    def _flip_of(self, taken: Resource) -> Flip | None:
        """The change that a proxy has taken with this; of a host under a wildcard, that of the wildcard."""
        newest = self._flipping.get(taken.name)
        if newest is None:
            over = (self._flipping.get(name) for name in wildcards_over(taken.name))
            newest = next((each for each in over if each is not None), None)
        flips = (newest, newest.before) if newest is not None else ()
        return next((each for each in flips if each and taken.version in versions_of(each.resource, taken.name)), None)

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self._tallies.of(nacked.type_url).nacks += 1

    @override
    def stuck(self, node: Node, stuck: Stuck) -> None:
        self._stuck.inc(len(stuck.clusters))

    @override
    def quarantined(self, node: Node, quarantined: Quarantined) -> None:
        self._quarantined.labels(kind_of(quarantined.type_url)).inc()

    @override
    def untried(self, node: Node, untried: Untried) -> None:
        self._untried.labels(kind_of(untried.type_url)).inc()
