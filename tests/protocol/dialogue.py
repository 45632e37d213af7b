"""A conversation, written down: `>>` is what happens to the stream, `<<` what it answers."""

from dataclasses import dataclass, replace
from typing import Any

from xds_server.protocol.events import (
    Acked,
    DeltaRequest,
    Effect,
    End,
    Nacked,
    Node,
    Quarantined,
    Send,
    SotwRequest,
    Stuck,
    Untried,
    Wake,
)
from xds_server.protocol.stream import Stream
from xds_server.snapshot import Snapshot

NODE = Node("envoy-1", cluster="edge")


@dataclass(frozen=True)
class Sent:
    """A response, as far as dialogues look at it. Resources are written `web=1`."""

    type_url: str
    nonce: str
    resources: str = ""
    removed: str = ""


@dataclass(frozen=True)
class Accepted:
    type_url: str
    nonce: str
    resources: str = ""
    removed: str = ""


@dataclass(frozen=True)
class Refused:
    type_url: str
    nonce: str
    names: str


Told = Sent | Accepted | Refused | Stuck | Wake | Quarantined | Untried | End


def told(effect: Effect) -> Told:
    match effect:
        case Send():
            return Sent(effect.type_url, effect.nonce, _written(effect), " ".join(effect.removed))
        case Acked():
            return Accepted(effect.type_url, effect.nonce, _written(effect), " ".join(effect.removed))
        case Nacked():
            return Refused(effect.type_url, effect.nonce, " ".join(effect.names))
        case Wake() | Stuck() | Quarantined() | Untried() | End():
            return effect


class Dialogue:
    """A stream whose first request says who the client is. Acceptances are heard only `verbatim`."""

    def __init__(self, stream: Stream[Any], *, verbatim: bool = False) -> None:
        self._stream = stream
        self._verbatim = verbatim
        self._answers: list[Told] = []
        self._introduced = False

    def __rshift__(self, event: SotwRequest | DeltaRequest | Snapshot | str) -> "Dialogue":
        assert not self._answers, f"unexpected: {self._answers}"
        heard = map(told, self._happens(event))
        self._answers = [answer for answer in heard if self._verbatim or not isinstance(answer, Accepted)]
        return self

    def __lshift__(self, expected: Told | tuple[Told, ...] | None) -> "Dialogue":
        """All that is answered, in order. None: nothing."""
        answers, self._answers = tuple(self._answers), []
        assert answers == (expected if isinstance(expected, tuple) else () if expected is None else (expected,))
        return self

    def _happens(self, event: SotwRequest | DeltaRequest | Snapshot | str) -> list[Effect]:
        match event:
            case Snapshot():
                return self._stream.publish(event)
            case str():
                return self._stream.elapsed(event)
            case SotwRequest() | DeltaRequest():
                request = event if self._introduced else replace(event, node=NODE)
                self._introduced = True
                return self._stream.receive(request)


def _written(effect: Send | Acked) -> str:
    return " ".join(f"{each.name}={each.version}" for each in effect.resources)
