"""What a client says to a stream, and what the stream wants done about it.

What a fan-out makes anew for each proxy is a named tuple, which is made in a third of the time of a frozen dataclass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from xds_server.domain.versions import Minor, minor
from xds_server.snapshot import Resource


@dataclass(frozen=True, slots=True)
class Node:
    """Who a proxy says it is. `version` is Envoy's (`1.40.0`), empty for other clients.

    `stream` is the server's number of the stream on which it does: several may say the same.
    `ports` is where a sidecar is to listen for calls of its application, and for callers, and where the application
    does; 0: not said.
    """

    id: str
    cluster: str = ""
    role: str = ""
    build: str = ""
    version: str = ""
    stream: int = field(default=0, compare=False)
    ports: tuple[int, int, int] = (0, 0, 0)

    @property
    def envoy(self) -> Minor:
        """What it understands."""
        return minor(self.version)


class SotwRequest(NamedTuple):
    """A `DiscoveryRequest`: all the names wanted now. `error` is what was wrong with the response of `nonce`."""

    type_url: str
    names: tuple[str, ...] = ()
    version: str = ""
    nonce: str = ""
    error: str | None = None
    node: Node | None = None


class DeltaRequest(NamedTuple):
    """A `DeltaDiscoveryRequest`: edits of what is wanted, an answer, or both at once (R17)."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = MappingProxyType({})
    nonce: str = ""
    error: str | None = None
    node: Node | None = None


class Send(NamedTuple):
    """Write `payload` to the client. `resources` and `removed` say what is in it."""

    type_url: str
    nonce: str
    payload: bytes
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


class Acked(NamedTuple):
    """The client holds `resources`, and no longer `removed`.

    Without a nonce it said so when it connected: it held them already, and they were not sent again.
    """

    type_url: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nacked:
    """The client refused a response because of these names, at these versions.

    They are not sent again until they change (R12), but for listeners. None: it did not say because of which, and is
    sent less at a time to find out.
    """

    type_url: str
    nonce: str
    reason: str
    refused: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.refused)


@dataclass(frozen=True, slots=True)
class Wake:
    """Call `elapsed(token)` after so many seconds. Calling it too often, or too late, does no harm."""

    seconds: float
    token: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Listeners and routes went on without these clusters, which the client did not accept in time."""

    clusters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A content that this client was the first to be sent and refused: others are told last good until it changes."""

    type_url: str
    name: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Untried:
    """Nobody who was the first to be sent this content has answered in time: all others are told it, too."""

    type_url: str
    name: str


@dataclass(frozen=True, slots=True)
class End:
    """End the stream once what is waiting is written: the client shall begin anew. `error`: what failed in it."""

    reason: str
    error: Exception | None = None


Effect = Send | Acked | Nacked | Wake | Stuck | Quarantined | Untried | End
