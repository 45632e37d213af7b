"""Which listener of which gateway a request comes in by, as far as its URL says."""

from collections.abc import Iterable
from dataclasses import dataclass

from xds_server.domain.names import ref
from xds_server.records.models import Gateway, Listener
from xds_server.records.world import World
from xds_server.traffic.domains import OfNobody, owner_of
from xds_server.traffic.requests import CannotExplain, Request, host_of


@dataclass(frozen=True, slots=True)
class Entrance:
    """A listener of a gateway."""

    gateway: Gateway
    listener: Listener


def entrance(world: World, request: Request, gateway: str = "", listener: str = "") -> Entrance:
    """`gateway` and `listener` name them; what is not named is found by host, scheme and port."""
    if not world.gateways:
        raise CannotExplain("there is no gateway in force")
    chosen = _named(world, gateway) if gateway else _by_url(world, request, listener)
    return Entrance(chosen, _listener(chosen, request, listener))


def _named(world: World, word: str) -> Gateway:
    found = world.gateways.get(ref(word))
    if found is None:
        raise CannotExplain(f"there is no gateway {word!r}; there is: {_words(world.gateways.values())}")
    return found


def _by_url(world: World, request: Request, listener: str) -> Gateway:
    """The only one; else the only one that has the host; else the only one of those that listens there."""
    known = [gateway for _, gateway in sorted(world.gateways.items())]
    if len(known) == 1:
        return known[0]
    host = host_of(request.authority)
    owning = [each for each in known if not isinstance(owner_of(world, each, host)[1], OfNobody)]
    listening = [each for each in owning or known if _fitting(each, request, listener)]
    for candidates in (owning, listening):
        if len(candidates) == 1:
            return candidates[0]
    having = f"have host {host}" if owning else f"could be meant: none has host {host}"
    raise CannotExplain(f"several gateways {having}; choose one with --gateway: {_words(owning or known)}")


def _fitting(gateway: Gateway, request: Request, listener: str) -> list[Listener]:
    """Those of this name; without a name those of the URL's scheme and port."""
    if listener:
        return [each for each in gateway.spec.listeners if each.name == listener]
    return [each for each in _of_scheme(gateway, request.scheme) if each.port == request.port]


def _listener(gateway: Gateway, request: Request, name: str) -> Listener:
    """The one that fits; without a name also the only one of the scheme: a port may be mapped on the way."""
    fitting = _fitting(gateway, request, name)
    if fitting:
        return fitting[0]
    of_scheme = _of_scheme(gateway, request.scheme)
    if len(of_scheme) == 1 and not name:
        return of_scheme[0]
    wanted = repr(name) if name else f"for {request.scheme} on port {request.port}"
    known = ", ".join(f"{each.name} ({_scheme(each)}, port {each.port})" for each in gateway.spec.listeners)
    raise CannotExplain(f"gateway {gateway.ref.word} has no listener {wanted}; choose with --listener: {known}")


def _of_scheme(gateway: Gateway, scheme: str) -> list[Listener]:
    return [each for each in gateway.spec.listeners if _scheme(each) == scheme]


def _scheme(listener: Listener) -> str:
    return "http" if listener.tls is None else "https"


def _words(gateways: Iterable[Gateway]) -> str:
    return ", ".join(sorted(each.ref.word for each in gateways))
