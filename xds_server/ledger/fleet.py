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
from xds_server.ledger.entry import Holder, ProxyState, Summary, summary
from xds_server.ledger.tracked import Tracked
from xds_server.snapshot import Delivery, Resource, Snapshot, TypeUrl

GONE = 1000
"""Proxies of a fleet that are remembered after they went."""

UNTOLD = Snapshot({}, serial=-1)


class Refused(NamedTuple):
    """Which version a proxy refused, and why."""

    version: str
    why: str


class Proxy:
    """A connected proxy. `way`: what it was sent of each type and has not answered. `spoken`: types it spoke about."""

    __slots__ = ("fleet", "id", "refused", "spoken", "streams", "way")

    def __init__(self, fleet: "Fleet", name: str) -> None:
        self.id = name
        self.streams = 0
        self.begin(fleet)

    def begin(self, fleet: "Fleet") -> None:
        """Its newest stream begins: what it holds is to be learned anew."""
        self.fleet = fleet
        self.spoken: set[str] = set()
        self.way: dict[str, Mapping[str, str]] = {}
        self.refused: dict[tuple[str, str], Refused] = {}


class Fleet:
    """`connecting` are proxies that have not said yet what they hold. `blocked` is what waits for them, or for any."""

    def __init__(self, gateway: Ref, delivery: Delivery) -> None:
        self.gateway = gateway
        self.delivery = delivery
        self.snapshot = UNTOLD
        self.proxies: dict[str, Proxy] = {}
        self.connecting: set[str] = set()
        self.carriers: dict[str, Carrier] = {}
        self.blocked: set[Tracked] = set()
        self.gone: dict[str, datetime] = {}
        self._unknown: dict[str, tuple[str, ...]] = {}

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
            self.connecting = {name for name, proxy in self.proxies.items() if not self._is_ready(proxy)}
        found = [self._tell(name) for name in self._differing(before)]
        return [each for each in found if each is not None]

    def _differing(self, before: Snapshot) -> Collection[str]:
        known = [*self.carriers, *self._unknown]
        if self.snapshot.since != before.serial or before.on_demand != self.snapshot.on_demand:
            return known
        changed = [name for kind in CARRIERS for name in self.snapshot.changed.get(kind, ())]
        if any("/*" in name for name in changed):
            return known
        return [name for name in changed if name in self.carriers or name in self._unknown]

    def _tell(self, name: str) -> Carrier | None:
        """Renew a carrier, or make one of a name that proxies were told there is nothing of."""
        carrier = self.carriers.get(name)
        if carrier is None:
            carrier = self.carrier(TypeUrl.VIRTUAL_HOST, name)
            for proxy in self._unknown.pop(name, ()) if carrier else ():
                self.carriers[name].hold(proxy, UNKNOWN)
            return carrier
        source, versions = self._found(carrier.kind, name)
        carrier.tell(source, versions, self.snapshot.serial)
        return carrier

    def carrier(self, kind: TypeUrl, name: str) -> Carrier | None:
        """Kept from when it is first held. None if there is no such resource."""
        found = self.carriers.get(name)
        if found is None:
            source, versions = self._found(kind, name)
            if not versions:
                return None
            found = self.carriers[name] = Carrier(kind, name)
            found.tell(source, versions, self.snapshot.serial)
        return found

    def hold(self, proxy: Proxy, kind: TypeUrl, name: str, version: str | None) -> Carrier | None:
        carrier = self.carrier(kind, name)
        if carrier is not None:
            carrier.hold(proxy.id, version)
        elif kind is TypeUrl.VIRTUAL_HOST and proxy.id not in self._unknown.get(name, ()):
            self._unknown[name] = (*self._unknown.get(name, ()), proxy.id)
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

    def enter(self, proxy: Proxy) -> None:
        self.proxies[proxy.id] = proxy
        self.gone.pop(proxy.id, None)
        if not self._is_ready(proxy):
            self.connecting.add(proxy.id)

    def speaks(self, proxy: Proxy, kind: TypeUrl) -> bool:
        """It is known from now on what it holds of this type; whether nothing is waited for any more because of it."""
        proxy.spoken.add(kind)
        if proxy.id in self.connecting and self._is_ready(proxy):
            self.connecting.discard(proxy.id)
            return not self.connecting
        return False

    def forgive(self, proxy: Proxy, type_url: str, taken: Resource) -> None:
        """What it refused of a resource counts no more once it takes that or newer; older it may take all the time."""
        refused = proxy.refused.get((type_url, taken.name))
        carrier = self.carriers.get(taken.name)
        if refused and (carrier is None or carrier.reach(taken.version) >= carrier.reach(refused.version)):
            del proxy.refused[type_url, taken.name]

    def _is_ready(self, proxy: Proxy) -> bool:
        return self._kind is None or self._kind in proxy.spoken

    def leave(self, proxy: Proxy, now: datetime) -> list[Carrier]:
        """What it held. Looks at every carrier: a proxy goes less often than it accepts something."""
        del self.proxies[proxy.id]
        self.connecting.discard(proxy.id)
        self.gone[proxy.id] = now
        if len(self.gone) > GONE:
            del self.gone[next(iter(self.gone))]
        return self.forget(proxy)

    def forget(self, proxy: Proxy, listener: str = "") -> list[Carrier]:
        """The proxy holds nothing any more, or nothing of this listener; say what it held."""
        held = [each for each in self.carriers.values() if proxy.id in each.holders and _is_of(each.name, listener)]
        for each in held:
            each.hold(proxy.id, None)
            if each.idle:
                del self.carriers[each.name]
        absent = [item for item in self._unknown.items() if proxy.id in item[1] and _is_of(item[0], listener)]
        for name, holders in absent:
            self._unknown[name] = tuple(each for each in holders if each != proxy.id)
            if not self._unknown[name]:
                del self._unknown[name]
        return held

    @property
    def is_forgotten(self) -> bool:
        """No record and no proxy speaks of it."""
        return self.snapshot is UNTOLD and not self.proxies

    def carrying(self, hosts: Iterable[str]) -> list[Carrier]:
        """Those that anybody holds of what carries these hosts."""
        routes = self.snapshot.of(TypeUrl.ROUTES)
        if not self.snapshot.on_demand:
            return [self.carriers[name] for name in routes if name in self.carriers]
        wanted = {names.virtual_host(name, host) for name in routes for host in hosts}
        if any("/*" in name for name in wanted):
            return [each for each in self.carriers.values() if each.source in wanted]
        return [self.carriers[name] for name in wanted if name in self.carriers]

    def holders(self, hosts: Iterable[str], serial: int, since: datetime) -> Iterator[Holder]:
        """What each proxy did with what these hosts have said since the world of this serial."""
        carriers = self.carrying(hosts)
        gateway = self.gateway.word
        for proxy in self.proxies.values():
            state, why = self._state(proxy, carriers, serial)
            yield Holder(proxy.id, gateway, state, why)
        for name, at in self.gone.items():
            if at >= since:
                yield Holder(name, gateway, ProxyState.GONE)

    def summary(self, hosts: Iterable[str], serial: int, since: datetime) -> Summary:
        """The same, counted. Where nobody is behind it looks at no proxy."""
        carriers = self.carrying(hosts)
        if self.connecting or any(each.lowest < serial for each in carriers) or serial == NOWHERE:
            return summary(list(self.holders(hosts, serial, since)))
        holders = carriers[0].holders if len(carriers) == 1 else set[str]().union(*(each.holders for each in carriers))
        gone = sum(1 for _ in takewhile(lambda at: at >= since, reversed(self.gone.values())))
        return Summary(accepted=len(holders), not_loaded=len(self.proxies) - len(holders), gone=gone)

    def _state(self, proxy: Proxy, carriers: list[Carrier], serial: int) -> tuple[ProxyState, str]:
        if proxy.id in self.connecting:
            return _connecting(proxy)
        held = [(each, each.holders[proxy.id]) for each in carriers if proxy.id in each.holders]
        if not held:
            return ProxyState.NOT_LOADED, ""
        behind = [each for each, version in held if each.reach(version) < serial]
        for each in behind:
            refused = proxy.refused.get((each.kind, each.name))
            if refused is not None and each.reach(refused.version) >= serial:
                return ProxyState.REFUSED, refused.why
        on_way = (each.reach(proxy.way.get(each.kind, {}).get(each.name, UNKNOWN)) >= serial for each in behind)
        if any(on_way):
            return ProxyState.SENT, ""
        return (ProxyState.PENDING, "it has not been sent it yet") if behind else (ProxyState.ACCEPTED, "")


def _is_of(name: str, listener: str) -> bool:
    return not listener or name == listener or name.startswith(f"{listener}/")


def _connecting(proxy: Proxy) -> tuple[ProxyState, str]:
    """A proxy that refuses its listeners never gets as far as asking for routes."""
    refused = next((found for (kind, _), found in proxy.refused.items() if kind == TypeUrl.LISTENER), None)
    if refused is not None:
        return ProxyState.REFUSED, refused.why
    return ProxyState.PENDING, "it has connected and not taken routes yet"
