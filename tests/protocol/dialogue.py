"""A conversation, written down: `>>` is what happens to the stream, `<<` what it answers."""

from dataclasses import dataclass
from typing import Any

from tests.protocol.worlds import CDS, LDS, RDS, VHDS
from xds_server.protocol.delta import DeltaStream
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
                request = event if self._introduced else event._replace(node=NODE)
                self._introduced = True
                return self._stream.receive(request)


def ask(type_url: str, *names: str) -> DeltaRequest:
    return DeltaRequest(type_url, names)


def ack(type_url: str, nonce: str) -> DeltaRequest:
    return DeltaRequest(type_url, nonce=nonce)


def nack(type_url: str, nonce: str, error: str = "no") -> DeltaRequest:
    return DeltaRequest(type_url, nonce=nonce, error=error)


def started(first: Snapshot) -> Dialogue:
    """A client on demand that has asked for no host yet; four responses were sent to it."""
    always = " ".join(f"{name}={first.of(CDS)[name].version}" for name in sorted(first.always[CDS]))
    return (
        Dialogue(DeltaStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", always)
        >> ack(CDS, "1")
        >> ask(LDS) << Sent(LDS, "2", "l=1")
        >> ack(LDS, "2")
        >> ask(RDS, "e/h") << Sent(RDS, "3", "e/h=1")
        >> ask(VHDS) << None
        >> ack(RDS, "3") << Sent(VHDS, "4", "e/h/-=1")
        >> ack(VHDS, "4") << None
    )  # fmt: skip


def _written(effect: Send | Acked) -> str:
    return " ".join(f"{each.name}={each.version}" for each in effect.resources)
