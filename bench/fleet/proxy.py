"""What one simulated proxy says and hears, without IO.

It asks for what an Envoy would ask for: clusters and listeners whole, the endpoints of its clusters, the routes of its
listeners, and on demand the virtual hosts of the hosts that somebody asks it for. It answers every response at once, or
as late as its driver lets it; it refuses those that bring a resource it is told to refuse. Unlike an Envoy it does not
warm clusters before it accepts them, and never ends a subscription.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from sys import intern
from typing import Any

from typing_extensions import override

from xds_server.messages.bridge import upb_class
from xds_server.messages.envoy import (
    Cluster,
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from xds_server.snapshot import TypeUrl

SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService"
DELTA_REQUEST, DELTA_RESPONSE = upb_class(DeltaDiscoveryRequest), upb_class(DeltaDiscoveryResponse)
SOTW_REQUEST, SOTW_RESPONSE = upb_class(DiscoveryRequest), upb_class(DiscoveryResponse)
CLUSTER = upb_class(Cluster)
WHOLE = (TypeUrl.CLUSTER, TypeUrl.LISTENER)
EVERYTHING = "*"


class Mode(StrEnum):
    """How a proxy gets its resources. `FULL`: by delta, from an Envoy that is too old for on demand."""

    FULL = "full"
    ON_DEMAND = "on-demand"
    SOTW = "sotw"


MINORS = {Mode.FULL: 36, Mode.ON_DEMAND: 40, Mode.SOTW: 40}
"""Of the Envoy 1.x that such a proxy says it is."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`hosts` are asked for on demand. `refuses`: resources whose name has one of these in it.

    `clusters_only`: it asks for clusters and their endpoints, and for nothing else.
    `remembers`: it says on a new stream what it held on the last one. `delay`: seconds before each answer.
    """

    mode: Mode = Mode.FULL
    gateway: str = "edge"
    listener: str = "http"
    hosts: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    clusters_only: bool = False
    remembers: bool = False
    delay: float = 0.0

    @property
    def routes(self) -> str:
        """The name of the one route configuration, which virtual hosts' names begin with."""
        return f"{self.gateway}/{self.listener}"


@dataclass(frozen=True, slots=True)
class Heard:
    """A response, and what is said to it: `replies` in their order."""

    type_url: str
    names: Collection[str]
    accepted: bool
    replies: tuple[bytes, ...]


Needs = dict[tuple[str, str], str]
"""The endpoints that a cluster needs, by its name and version; shared by a fleet, which all holds the same."""


class Proxy(ABC):
    """One proxy, over any number of streams one after another."""

    method: str

    def __init__(self, name: str, behaviour: Behaviour, needs: Needs) -> None:
        self._node: dict[str, object] | None = None
        self.name = name
        self.behaviour = behaviour
        self._needs = needs
        self._asked: dict[str, dict[str, None]] = {}
        self._open: set[tuple[str, str]] = set()

    @property
    def settled(self) -> bool:
        """All that was asked for has been answered."""
        return not self._open

    def greet(self) -> list[bytes]:
        """What is said first on a new stream."""
        self._node = _node(self.name, self.behaviour)
        self._open.clear()
        whole = WHOLE[:1] if self.behaviour.clusters_only else WHOLE
        self._asked = {type_url: {} for type_url in whole}
        return [self._greet(type_url) for type_url in whole]

    @abstractmethod
    def hear(self, payload: bytes) -> Heard:
        """A response has come."""

    @abstractmethod
    def _greet(self, type_url: str) -> bytes:
        """Ask for everything of a type."""

    @abstractmethod
    def _subscribe(self, type_url: str, names: Iterable[str]) -> bytes:
        """Ask for these, too."""

    def _refused(self, names: Iterable[str]) -> str:
        """What is at fault, if anything."""
        refuses = self.behaviour.refuses
        return next((name for name in names if any(each in name for each in refuses)), "") if refuses else ""

    def _ask(self, type_url: str, names: Iterable[str]) -> list[bytes]:
        """Ask for those that have not been asked for on this stream."""
        asked = self._asked.setdefault(type_url, {})
        new = {name: None for name in names if name not in asked}
        if not new:
            return []
        asked.update(new)
        self._open.update((type_url, name) for name in new)
        return [self._subscribe(type_url, new)]

    def _follow_up(self, type_url: str, clusters: Iterable[tuple[str, str, bytes]]) -> list[bytes]:
        """What is to be asked for because of what has come."""
        match type_url:
            case TypeUrl.CLUSTER:
                return self._ask(TypeUrl.ENDPOINTS, [name for each in clusters if (name := self._endpoints(*each))])
            case TypeUrl.LISTENER:
                return self._ask(TypeUrl.ROUTES, [self.behaviour.routes])
            case TypeUrl.ROUTES if self.behaviour.mode is Mode.ON_DEMAND and TypeUrl.VIRTUAL_HOST not in self._asked:
                hosts = [f"{self.behaviour.routes}/{host}" for host in self.behaviour.hosts]
                return [self._subscribe(TypeUrl.VIRTUAL_HOST, ()), *self._ask(TypeUrl.VIRTUAL_HOST, hosts)]
            case _:
                return []

    def _endpoints(self, name: str, version: str, body: bytes) -> str:
        """The assignment that this cluster asks for; empty if it has its own."""
        found = self._needs.get((name, version))
        if found is None:
            config = CLUSTER.FromString(body).eds_cluster_config
            found = self._needs[name, version] = intern(config.service_name)
        return found

    def _introduction(self) -> Any:
        """Who speaks: said once a stream."""
        node, self._node = self._node, None
        return node


class DeltaProxy(Proxy):
    """Speaks the delta dialect."""

    method = f"{SERVICE}/DeltaAggregatedResources"

    def __init__(self, name: str, behaviour: Behaviour, needs: Needs) -> None:
        super().__init__(name, behaviour, needs)
        self._held: dict[str, dict[str, str]] = {}

    @override
    def hear(self, payload: bytes) -> Heard:
        response = DELTA_RESPONSE.FromString(payload)
        type_url = response.type_url
        names = {intern(each.name) for each in response.resources}
        self._open.difference_update([(type_url, name) for name in (*names, *response.removed_resources, EVERYTHING)])
        culprit = self._refused(names)
        answer = {"type_url": type_url, "response_nonce": response.nonce}
        if culprit:
            error = {"code": 3, "message": f"{culprit}: refused"}
            return Heard(type_url, names, False, (_said(DELTA_REQUEST(**answer, error_detail=error)),))
        if self.behaviour.remembers:
            self._remember(response)
        clusters = response.resources if type_url == TypeUrl.CLUSTER else ()
        asks = self._follow_up(type_url, ((each.name, each.version, each.resource.value) for each in clusters))
        return Heard(type_url, names, True, (*asks, _said(DELTA_REQUEST(**answer))))

    def _remember(self, response: Any) -> None:
        held = self._held.setdefault(response.type_url, {})
        for each in response.resources:
            held[intern(each.name)] = intern(each.version)
        for name in response.removed_resources:
            held.pop(name, None)

    @override
    def _greet(self, type_url: str) -> bytes:
        held = self._held.get(type_url, {})
        if not held:
            self._open.add((type_url, EVERYTHING))
        return _said(DELTA_REQUEST(type_url=type_url, node=self._introduction(), initial_resource_versions=held))

    @override
    def greet(self) -> list[bytes]:
        """What it holds from before is asked for without waiting for what leads there."""
        said = super().greet()
        for type_url, held in self._held.items():
            if type_url not in WHOLE:
                self._asked[type_url] = dict.fromkeys(held)
                names = list(held)
                said.append(
                    _said(
                        DELTA_REQUEST(type_url=type_url, resource_names_subscribe=names, initial_resource_versions=held)
                    )
                )
        return said

    @override
    def _subscribe(self, type_url: str, names: Iterable[str]) -> bytes:
        return _said(DELTA_REQUEST(type_url=type_url, resource_names_subscribe=list(names)))


class SotwProxy(Proxy):
    """Speaks the state-of-the-world dialect: each answer repeats all names that are wanted."""

    method = f"{SERVICE}/StreamAggregatedResources"

    def __init__(self, name: str, behaviour: Behaviour, needs: Needs) -> None:
        super().__init__(name, behaviour, needs)
        self._answered: dict[str, tuple[str, str]] = {}

    @override
    def hear(self, payload: bytes) -> Heard:
        response = SOTW_RESPONSE.FromString(payload)
        type_url = response.type_url
        names = _names(response)
        self._open.difference_update([(type_url, name) for name in (*names, EVERYTHING)])
        culprit = self._refused(names)
        accepted, _ = self._answered.get(type_url, ("", ""))
        if culprit:
            self._answered[type_url] = accepted, response.nonce
            return Heard(type_url, names, False, (self._say(type_url, f"{culprit}: refused"),))
        self._answered[type_url] = response.version_info, response.nonce
        clusters = response.resources if type_url == TypeUrl.CLUSTER else ()
        found = zip(names, clusters, strict=True) if clusters else ()
        asks = self._follow_up(type_url, ((name, response.version_info, each.value) for name, each in found))
        return Heard(type_url, names, True, (*asks, self._say(type_url)))

    @override
    def _greet(self, type_url: str) -> bytes:
        self._answered.clear()
        self._open.add((type_url, EVERYTHING))
        return _said(SOTW_REQUEST(type_url=type_url, node=self._introduction()))

    @override
    def _subscribe(self, type_url: str, names: Iterable[str]) -> bytes:
        return self._say(type_url)

    def _say(self, type_url: str, refused: str | None = None) -> bytes:
        version, nonce = self._answered.get(type_url, ("", ""))
        return _said(
            SOTW_REQUEST(
                type_url=type_url,
                version_info=version,
                response_nonce=nonce,
                resource_names=list(self._asked.get(type_url, ())),
                error_detail=None if refused is None else {"code": 3, "message": refused},
            )
        )


def proxy(name: str, behaviour: Behaviour, needs: Needs) -> Proxy:
    return (SotwProxy if behaviour.mode is Mode.SOTW else DeltaProxy)(name, behaviour, needs)


def _names(response: Any) -> list[str]:
    """Each resource begins with its name, field 1, whatever its type is."""
    return [_first_text(each.value) for each in response.resources]


def _first_text(body: bytes) -> str:
    size, at = body[1] & 0x7F, 2
    if body[1] > 0x7F:
        size, at = size | body[2] << 7, 3
    return intern(body[at : at + size].decode())


def _said(request: Any) -> bytes:
    said: bytes = request.SerializeToString()
    return said


def _node(name: str, behaviour: Behaviour) -> dict[str, object]:
    version = {"major_number": 1, "minor_number": MINORS[behaviour.mode], "patch": 0}
    return {
        "id": name,
        "cluster": behaviour.gateway,
        "metadata": {"role": "gateway"},
        "user_agent_name": "envoy",
        "user_agent_build_version": {"version": version},
    }
