"""Worlds and facts as tests of the ledger tell them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from immutables import Map
from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.ledger.entry import Entry, ProxyState
from xds_server.ledger.ledger import Change, Ledger, Published
from xds_server.ledger.standing import Refusals, Standing
from xds_server.records.models import Release
from xds_server.snapshot import Delivery, Resource, Snapshot, TypeUrl

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
EDGE = Ref("default", "edge")
ROUTES, HOSTS, LISTENER, CLUSTERS = TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST, TypeUrl.LISTENER, TypeUrl.CLUSTER
API = "xds-server.dev/v1alpha1"


def ref(name: str) -> Ref:
    return Ref("default", name)


def release(name: str, *hosts: str) -> Release:
    spec = {"app": name, "gateways": ["edge"], "hosts": hosts or (f"{name}.test",), "default": [{"deployment": "v1"}]}
    return Release.model_validate({"apiVersion": API, "kind": "Release", "metadata": {"name": name}, "spec": spec})


def change(name: str, content: str, *hosts: str) -> Change:
    return Change(ref(name), release(name, *hosts), content)


def resource(name: str, version: str) -> Resource:
    return Resource(name, version, b"")


class StandingRefusals(Refusals):
    """`found` is refused. `lacking`: clients that have nothing older in its place."""

    def __init__(self) -> None:
        self.found: list[Standing] = []
        self.lacking: set[str] = set()

    @override
    def standing(self, gateway: Ref, delivery: Delivery) -> list[Standing]:
        return self.found

    @override
    def words(self, refusal: Standing) -> str:
        return f"somebody refuses {refusal.name}"

    @override
    def lacks(self, proxy: str, stream: int, refusal: Standing) -> bool:
        return proxy in self.lacking


class Story:
    """A ledger that is told one fact a second, about one gateway with the listener `edge/http`."""

    def __init__(self, *entries: Entry, on_demand: bool = False) -> None:
        self.refusals = StandingRefusals()
        self.ledger = Ledger(entries, last=7 if entries else 0, refusals=self.refusals)
        self.on_demand = on_demand
        self.fleet = EDGE, Delivery.ON_DEMAND if on_demand else Delivery.FULL
        self.now = NOON
        self.numbers: dict[str, int] = {}
        self.snapshot = Snapshot({}, serial=-1)
        self.serial = 0

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def world(
        self,
        resources: Mapping[str, str],
        *changes: Change,
        complete: bool = False,
        late: str = "",
        clusters: tuple[str, ...] = (),
        listeners: tuple[str, ...] = (),
    ) -> None:
        """The next world: its carriers by name with their versions, and what releases say from now on.

        `clusters` are what its carriers need, each with the version 1 as the `listeners`.
        """
        self.serial += 1
        kind = HOSTS if self.on_demand else ROUTES
        body = " ".join(clusters).encode()
        carriers = Map({name: Resource(name, each, body, needs=clusters) for name, each in resources.items()})
        told = {kind: carriers}
        for each, names in (CLUSTERS, clusters), (LISTENER, listeners):
            told[each] = Map({name: resource(name, "1") for name in names})
        if self.on_demand:
            told[ROUTES] = Map({"edge/http": resource("edge/http", "r")})
        before = self.snapshot
        changed = {
            each: frozenset(name for name in {*before.of(each), *found} if before.of(each).get(name) != found.get(name))
            for each, found in told.items()
        }
        self.snapshot = Snapshot(told, self.serial, before.serial, changed, on_demand=self.on_demand)
        late_ones = frozenset([ref(late)]) if late else frozenset[Ref]()
        published = Published(self.serial, changes, {self.fleet: self.snapshot}, late_ones, complete=complete)
        self.ledger.publish(published, self.tick())

    def number(self, stream: str) -> int:
        return self.numbers.setdefault(stream, len(self.numbers) + 1)

    def opens(self, proxy: str, stream: str = "") -> None:
        """`stream`: what else than the proxy it is called in the story."""
        self.ledger.opened(self.number(stream or proxy), proxy, self.fleet, self.tick())

    def closes(self, proxy: str) -> None:
        self.ledger.closed(self.number(proxy), self.tick())

    def listens(self, proxy: str, *routes: str) -> None:
        made = [Resource(name, "l", b"", needs=(name,)) for name in routes]
        self.ledger.acked(self.number(proxy), LISTENER, made, (), self.tick())

    def states(self, proxy: str, held: Mapping[str, str] | None = None) -> None:
        """An on-demand proxy says what it holds from before."""
        found = {name: resource(name, version) for name, version in (held or {}).items()}
        self.ledger.stated(self.number(proxy), HOSTS, found, self.tick())

    def sends(self, proxy: str, held: Mapping[str, str]) -> None:
        self.tick()
        self.ledger.sent(self.number(proxy), self._kind, [resource(*each) for each in held.items()])

    def acks(self, proxy: str, held: Mapping[str, str]) -> datetime:
        at = self.tick()
        self.ledger.acked(self.number(proxy), self._kind, [resource(*each) for each in held.items()], (), at)
        return at

    def takes(self, proxy: str, held: Mapping[str, str]) -> datetime:
        self.sends(proxy, held)
        return self.acks(proxy, held)

    def refuses(
        self, proxy: str, name: str, version: str, why: str = "no such thing", *, kind: TypeUrl | None = None
    ) -> None:
        self.tick()
        self.ledger.nacked(self.number(proxy), kind or self._kind, why, {name: version})

    def stands(self, kind: TypeUrl, name: str, version: str, *, held_back: bool = True) -> None:
        """What was refused is so for all that the ledger is told."""
        self.refusals.found.append(Standing(EDGE, kind, name, version, held_back))

    def entry(self, name: str) -> Entry:
        found = self.ledger.entry(ref(name))
        assert found is not None
        return found

    def states_of(self, name: str) -> dict[str, ProxyState]:
        return {each.proxy: each.state for each in self.ledger.holders(ref(name))}

    @property
    def _kind(self) -> TypeUrl:
        return HOSTS if self.on_demand else ROUTES
