"""The proxies of one gateway that are told in the same way, and which versions they hold of what carries releases."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

from xds_server.domain import names
from xds_server.domain.names import Ref
from xds_server.ledger.carrier import (
    CARRIERS,
    NOWHERE,
    UNKNOWN,
    Carrier,
    versions_of,
)
from xds_server.ledger.entry import OWED, Holder, ProxyState, Summary, summary
from xds_server.ledger.standing import Refusals, Standing
from xds_server.ledger.tracked import Tracked
from xds_server.snapshot import Delivery, Resource, Snapshot, TypeUrl

GONE = 1000
"""Proxies of a fleet that are remembered after they went."""

UNTOLD = Snapshot({}, serial=-1)


class Refused(NamedTuple):
    """Which version a proxy refused, and why."""

    version: str
    why: str


STATES = (*OWED, ProxyState.ACCEPTED, ProxyState.NOT_LOADED)
"""Of several streams of one proxy, the first of these counts."""


class Stream:
    """An open stream, and the proxy that it is of. `way`: what it was sent of each type and has not answered. `spoken`:
    types it spoke about."""

    __slots__ = ("fleet", "number", "proxy", "refused", "spoken", "way")

    def __init__(self, fleet: "Fleet", number: int, proxy: str) -> None:
        self.fleet = fleet
        self.number = number
        self.proxy = proxy
        self.spoken: set[str] = set()
        self.way: dict[str, Mapping[str, str]] = {}
        self.refused: dict[tuple[str, str], Refused] = {}


class Fleet:
    """`connecting` are streams whose clients have not said yet what they hold. `blocked` is what waits for them, or for
    any, or for what is held back. `proxies` are counted by their streams: two that share a node id are one. `_under`
    are carriers by the wildcard that they are made from.
    """

    def __init__(self, gateway: Ref, delivery: Delivery, refusals: Refusals) -> None:
        self.gateway = gateway
        self.delivery = delivery
        self.snapshot = UNTOLD
        self.streams: dict[int, Stream] = {}
        self.proxies: dict[str, int] = {}
        self.connecting: set[int] = set()
        self.carriers: dict[str, Carrier] = {}
        self.blocked: set[Tracked] = set()
        self.gone: dict[str, datetime] = {}
        self._refusals = refusals
        self._unknown: dict[str, tuple[int, ...]] = {}
        self._under: dict[str, dict[str, Carrier]] = {}

    @property
    def _kind(self) -> TypeUrl | None:
        """What a proxy must have spoken about before it is known what it holds."""
        if not self.snapshot.of(TypeUrl.ROUTES):
            return None
        return TypeUrl.VIRTUAL_HOST if self.snapshot.on_demand else TypeUrl.ROUTES

    def publish(self, snapshot: Snapshot) -> list[Carrier]:
        """There is a newer world: the carriers that differ in it. Costs as much as what changed."""
        before, kind = self.snapshot, self._kind
        self.snapshot = snapshot
        if self._kind is not kind:
            self.connecting = {number for number, stream in self.streams.items() if not self._is_ready(stream)}
        found = [self._tell(name) for name in self._differing(before)]
        return [each for each in found if each is not None]

    def _differing(self, before: Snapshot) -> Collection[str]:
        if self.snapshot.since != before.serial or before.on_demand != self.snapshot.on_demand:
            return [*self.carriers, *self._unknown]
        changed = [name for kind in CARRIERS for name in self.snapshot.changed.get(kind, ())]
        found = {name for name in changed if name in self.carriers or name in self._unknown}
        found.update(*(self._under.get(name, ()) for name in changed))
        hosts = before.of(TypeUrl.VIRTUAL_HOST)
        new = {name for name in changed if "/*" in name and name not in hosts}
        return found.union(self._over(new)) if new else found

    def _over(self, wildcards: Collection[str]) -> Iterator[str]:
        """What is under one of these by its name, whatever it is made from yet."""
        for name in (*self.carriers, *self._unknown):
            if any(each in wildcards for each in names.wildcards_over(name)):
                yield name

    def _tell(self, name: str) -> Carrier | None:
        """Renew a carrier, or make one of a name that proxies were told there is nothing of."""
        carrier = self.carriers.get(name)
        if carrier is None:
            carrier = self.carrier(TypeUrl.VIRTUAL_HOST, name)
            for stream in self._unknown.pop(name, ()) if carrier else ():
                self.carriers[name].hold(stream, UNKNOWN)
            return carrier
        self._renew(carrier, *self._found(carrier.kind, name))
        return carrier

    def _renew(self, carrier: Carrier, source: str, versions: frozenset[str]) -> None:
        self._loosen(carrier)
        carrier.tell(source, versions, self.snapshot.serial)
        if source != carrier.name:
            self._under.setdefault(source, {})[carrier.name] = carrier

    def _loosen(self, carrier: Carrier) -> None:
        """It is not made from what it was made from."""
        under = self._under.get(carrier.source, {})
        under.pop(carrier.name, None)
        if not under:
            self._under.pop(carrier.source, None)

    def carrier(self, kind: TypeUrl, name: str) -> Carrier | None:
        """Kept from when it is first held. None if there is no such resource."""
        found = self.carriers.get(name)
        if found is None:
            source, versions = self._found(kind, name)
            if not versions:
                return None
            found = self.carriers[name] = Carrier(kind, name)
            self._renew(found, source, versions)
        return found

    def hold(self, stream: Stream, kind: TypeUrl, name: str, version: str | None) -> Carrier | None:
        carrier = self.carrier(kind, name)
        if carrier is not None:
            carrier.hold(stream.number, version)
        elif kind is TypeUrl.VIRTUAL_HOST and stream.number not in self._unknown.get(name, ()):
            self._unknown[name] = (*self._unknown.get(name, ()), stream.number)
        return carrier

    def _found(self, kind: TypeUrl, name: str) -> tuple[str, frozenset[str]]:
        """What a carrier is made from, and its versions; none if there is no such thing."""
        resources = self.snapshot.of(kind)
        if name in resources:
            return name, versions_of(resources[name], name)
        for wildcard in names.wildcards_over(name) if kind is TypeUrl.VIRTUAL_HOST else ():
            if wildcard in resources:
                return wildcard, versions_of(resources[wildcard], name)
        return name, frozenset()

    def enter(self, stream: Stream) -> None:
        self.streams[stream.number] = stream
        self.proxies[stream.proxy] = self.proxies.get(stream.proxy, 0) + 1
        self.gone.pop(stream.proxy, None)
        if not self._is_ready(stream):
            self.connecting.add(stream.number)

    def speaks(self, stream: Stream, kind: TypeUrl) -> bool:
        """It is known from now on what it holds of this type; whether nothing is waited for any more because of it."""
        stream.spoken.add(kind)
        if stream.number in self.connecting and self._is_ready(stream):
            self.connecting.discard(stream.number)
            return not self.connecting
        return False

    def forgive(self, stream: Stream, type_url: str, taken: Resource) -> None:
        """What it refused of a resource counts no more once it takes that or newer; older it may take all the time."""
        refused = stream.refused.get((type_url, taken.name))
        carrier = self.carriers.get(taken.name)
        if refused and (carrier is None or carrier.reach(taken.version) >= carrier.reach(refused.version)):
            del stream.refused[type_url, taken.name]

    def _is_ready(self, stream: Stream) -> bool:
        return self._kind is None or self._kind in stream.spoken

    def leave(self, stream: Stream, now: datetime) -> list[Carrier]:
        """What it held. Looks at every carrier: a proxy goes less often than it accepts something."""
        del self.streams[stream.number]
        self.connecting.discard(stream.number)
        self.proxies[stream.proxy] -= 1
        if not self.proxies[stream.proxy]:
            del self.proxies[stream.proxy]
            self.gone[stream.proxy] = now
        if len(self.gone) > GONE:
            del self.gone[next(iter(self.gone))]
        return self.forget(stream)

    def forget(self, stream: Stream, listener: str = "") -> list[Carrier]:
        """The client holds nothing any more, or nothing of this listener; say what it held."""
        number = stream.number
        held = [each for each in self.carriers.values() if number in each.holders and _is_of(each.name, listener)]
        for each in held:
            each.hold(number, None)
            if each.idle:
                del self.carriers[each.name]
                self._loosen(each)
        absent = [item for item in self._unknown.items() if number in item[1] and _is_of(item[0], listener)]
        for name, holders in absent:
            self._unknown[name] = tuple(each for each in holders if each != number)
            if not self._unknown[name]:
                del self._unknown[name]
        return held

    @property
    def is_forgotten(self) -> bool:
        """No record and no proxy speaks of it."""
        return self.snapshot is UNTOLD and not self.streams

    def carrying(self, hosts: Iterable[str]) -> list[Carrier]:
        """Those that anybody holds of what carries these hosts."""
        wanted = self._names(hosts)
        found = [self.carriers[name] for name in wanted if name in self.carriers]
        return [*found, *(each for name in wanted for each in self._under.get(name, {}).values())]

    def holding(self, hosts: Iterable[str]) -> Iterator[Stream]:
        """The streams of who holds anything that carries these hosts."""
        numbers = {number for carrier in self.carrying(hosts) for number in carrier.holders}
        return (self.streams[number] for number in sorted(numbers))

    def _names(self, hosts: Iterable[str]) -> Collection[str]:
        """What carries these hosts, by name."""
        routes = self.snapshot.of(TypeUrl.ROUTES)
        if not self.snapshot.on_demand:
            return routes.keys()
        return {names.virtual_host(name, host) for name in routes for host in hosts}

    def refusals(self, hosts: Iterable[str]) -> list[Standing]:
        """What is refused, so that proxies do not get what these hosts say."""
        found = [each for each in self._refusals.standing(self.gateway, self.delivery) if self._is_told(each)]
        if not found:
            return []
        wanted, carriers = self._names(hosts), self.carrying(hosts)
        concerned = [each for each in found if self._concerns(each, wanted, found)]
        return [each for each in concerned if each.held_back or self._is_missed(each, carriers)]

    def _is_told(self, refusal: Standing) -> bool:
        """It is what proxies should have."""
        return refusal.version in self._versions(refusal.kind, refusal.name)

    def _versions(self, kind: TypeUrl, name: str) -> Collection[str]:
        if kind is TypeUrl.VIRTUAL_HOST:
            return self._found(kind, name)[1]
        found = self.snapshot.of(kind).get(name)
        return () if found is None else tuple(found.versions)

    def _concerns(self, refusal: Standing, wanted: Collection[str], refusals: Iterable[Standing]) -> bool:
        """It is a carrier, or a cluster that one needs; or every listener is refused, and somebody has none yet."""
        match refusal.kind:
            case TypeUrl.VIRTUAL_HOST:
                return self._found(refusal.kind, refusal.name)[0] in wanted
            case TypeUrl.ROUTES if not self.snapshot.on_demand:
                return refusal.name in wanted
            case TypeUrl.CLUSTER:
                return any(self._needs(name, refusal.name) for name in wanted)
            case TypeUrl.LISTENER | TypeUrl.ROUTES:
                same = {each.name for each in refusals if each.kind is refusal.kind}
                return bool(self.connecting) and same.issuperset(self.snapshot.of(refusal.kind))
            case TypeUrl.ENDPOINTS | TypeUrl.SECRET:
                return False

    def _needs(self, carrier: str, cluster: str) -> bool:
        """Whether a cluster is used there. Route configurations do not say by themselves what they need."""
        if self.snapshot.on_demand:
            found = self.snapshot.of(TypeUrl.VIRTUAL_HOST).get(carrier)
            return found is not None and cluster in found.needs
        return cluster.encode() in self.snapshot.of(TypeUrl.ROUTES)[carrier].body

    def _is_missed(self, refusal: Standing, carriers: list[Carrier]) -> bool:
        """Somebody who is to have it has nothing instead."""
        return any(
            self._misses(stream, refusal)
            for stream in self.streams.values()
            if stream.number in self.connecting or any(stream.number in each.holders for each in carriers)
        )

    def _misses(self, stream: Stream, refusal: Standing) -> bool:
        refused = stream.refused.get((refusal.kind, refusal.name))
        if refused is None or refused.version != refusal.version:
            return False
        alone = refusal.kind is not TypeUrl.CLUSTER or refusal.held_back
        return alone or self._refusals.lacks(stream.proxy, stream.number, refusal)

    def holders(self, hosts: Iterable[str], serial: int, since: datetime) -> Iterator[Holder]:
        """What each proxy did with what these hosts have said since the world of this serial."""
        carriers, refusals = self.carrying(hosts), self.refusals(hosts)
        gateway = self.gateway.word
        found: dict[str, Holder] = {}
        for stream in self.streams.values():
            holder = Holder(stream.proxy, gateway, *self._state(stream, carriers, serial, refusals))
            before = found.get(stream.proxy)
            if before is None or STATES.index(holder.state) < STATES.index(before.state):
                found[stream.proxy] = holder
        yield from map(self._shared, found.values())
        for name, at in self.gone.items():
            if at >= since:
                yield Holder(name, gateway, ProxyState.GONE)

    def _shared(self, holder: Holder) -> Holder:
        """With the number of streams that are waited for, if that may surprise."""
        streams = self.proxies[holder.proxy]
        if streams == 1 or holder.state not in OWED:
            return holder
        return holder._replace(why="; ".join(filter(None, (holder.why, f"{streams} streams have this node id"))))

    def summary(self, hosts: Iterable[str], serial: int, since: datetime) -> Summary:
        """The same, counted. Where nobody is behind it looks at no proxy."""
        carriers, shared = self.carrying(hosts), len(self.proxies) < len(self.streams)
        if shared or self.connecting or any(each.lowest < serial for each in carriers) or serial == NOWHERE:
            return summary(list(self.holders(hosts, serial, since)))
        holders = carriers[0].holders if len(carriers) == 1 else set[int]().union(*(each.holders for each in carriers))
        gone = sum(1 for _ in takewhile(lambda at: at >= since, reversed(self.gone.values())))
        return Summary(accepted=len(holders), not_loaded=len(self.streams) - len(holders), gone=gone)

    def _state(
        self, stream: Stream, carriers: list[Carrier], serial: int, refusals: list[Standing]
    ) -> tuple[ProxyState, str]:
        if stream.number in self.connecting:
            return self._connecting(stream, refusals)
        held = [(each, each.holders[stream.number]) for each in carriers if stream.number in each.holders]
        if not held:
            return ProxyState.NOT_LOADED, ""
        behind = [each for each, version in held if each.reach(version) < serial]
        if not behind:
            return ProxyState.ACCEPTED, ""
        for each in behind:
            refused = stream.refused.get((each.kind, each.name))
            if refused is not None and each.reach(refused.version) >= serial:
                return ProxyState.REFUSED, refused.why
        if any(each.reach(stream.way.get(each.kind, {}).get(each.name, UNKNOWN)) >= serial for each in behind):
            return ProxyState.SENT, "it has not answered yet"
        return self._behind(stream, refusals, "it has not been sent it yet")

    def _behind(self, stream: Stream, refusals: list[Standing], why: str) -> tuple[ProxyState, str]:
        """What it refused itself keeps it from it, or what another did, or nothing that is known."""
        for each in refusals:
            if self._misses(stream, each):
                return ProxyState.REFUSED, stream.refused[each.kind, each.name].why
        held_back = (f"it is not sent it: {self._refusals.words(each)}" for each in refusals if each.held_back)
        return ProxyState.PENDING, next(held_back, why)

    def _connecting(self, stream: Stream, refusals: list[Standing]) -> tuple[ProxyState, str]:
        """A proxy that refuses its listeners never gets as far as asking for routes."""
        refused = {name: found for (kind, name), found in stream.refused.items() if kind == TypeUrl.LISTENER}
        if refused and set(refused).issuperset(self.snapshot.of(TypeUrl.LISTENER)):
            return ProxyState.REFUSED, next(iter(refused.values())).why
        return self._behind(stream, refusals, "it has connected and not taken routes yet")


def _is_of(name: str, listener: str) -> bool:
    return not listener or name == listener or name.startswith(f"{listener}/")
