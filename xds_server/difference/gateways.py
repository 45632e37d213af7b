"""What gateways listen on and take from clients, and what is different about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xds_server.difference.change import Change, change_of, differing
from xds_server.difference.records import FieldChange, field_changes
from xds_server.domain.names import Ref
from xds_server.records.models import Gateway, Listener
from xds_server.records.world import World
from xds_server.traffic.listening import lacking

SAID_ELSEWHERE = {"listeners", "explicit"}
"""Fields of a gateway that are no settings here: each has a section of its own."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What a listener does.

    `certificates` is what it shows; none: it speaks plain text. `redirect` is the port of https to which every request
    is sent, `http3` the port on which clients find HTTP/3. `closed`: a certificate of it is not in force.
    """

    name: str
    address: str
    port: int
    certificates: tuple[str, ...] = ()
    http3: int | None = None
    redirect: int | None = None
    closed: bool = False

    @property
    def place(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class ListenerChange:
    """A listener as it is and as it would be; None: there is none. Another name at the same place is the same one."""

    before: Listening | None
    after: Listening | None

    @property
    def change(self) -> Change:
        return change_of(self.before, self.after)

    @property
    def name(self) -> str:
        said = self.after or self.before
        assert said is not None
        return said.name


@dataclass(frozen=True, slots=True)
class GatewayChange:
    """A gateway that comes, changes or goes: its listeners, and its other settings by their path in `spec`.

    A setting that is not written has its default. Of a gateway that comes or goes only the listeners are said.
    """

    gateway: Ref
    change: Change
    listeners: tuple[ListenerChange, ...]
    settings: tuple[FieldChange, ...] = ()


def gateway_changes(before: World, after: World) -> tuple[GatewayChange, ...]:
    names = differing(before.gateways, after.gateways)
    if before.secrets is not after.secrets:
        names |= {*before.gateways, *after.gateways}
    found = (_gateway_change(ref, before, after) for ref in sorted(names))
    return tuple(each for each in found if each is not None)


def _gateway_change(ref: Ref, before: World, after: World) -> GatewayChange | None:
    old, new = before.gateways.get(ref), after.gateways.get(ref)
    listeners = tuple(_listener_changes(_listening(before, old), _listening(after, new)))
    settings = tuple(field_changes(_settings(old), _settings(new))) if old and new else ()
    return GatewayChange(ref, change_of(old, new), listeners, settings) if listeners or settings else None


def _settings(gateway: Gateway) -> dict[str, Any]:
    return gateway.spec.model_dump(mode="json", by_alias=True, exclude=SAID_ELSEWHERE)


def _listening(world: World, gateway: Gateway | None) -> dict[str, Listening]:
    if gateway is None:
        return {}
    return {each.name: _one(world, gateway, each) for each in gateway.spec.listeners}


def _one(world: World, gateway: Gateway, listener: Listener) -> Listening:
    return Listening(
        listener.name,
        listener.address,
        listener.port,
        certificates=listener.tls.shown if listener.tls else (),
        http3=listener.http3_port,
        redirect=gateway.spec.https_port(listener) if listener.redirect is not None else None,
        closed=bool(lacking(gateway, listener, world.secrets)),
    )


def _listener_changes(before: Mapping[str, Listening], after: Mapping[str, Listening]) -> Iterator[ListenerChange]:
    unnamed = {each.place: each for name, each in before.items() if name not in after}
    for name, new in sorted(after.items()):
        old = before[name] if name in before else unnamed.pop(new.place, None)
        if old != new:
            yield ListenerChange(old, new)
    for _, old in sorted(unnamed.items()):
        yield ListenerChange(old, None)
