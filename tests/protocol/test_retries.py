"""Refused listeners are tried again: when something that may help has changed, and after a while. R12 allows both."""

from tests.protocol.dialogue import Dialogue, Refused, Sent
from tests.protocol.worlds import LDS, world
from xds_server.protocol.channel import Channel
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, SotwRequest, Wake
from xds_server.protocol.retries import Retries
from xds_server.protocol.sotw import SotwStream
from xds_server.snapshot import Snapshot

FIRST = world(listeners=["l", "m"])


def ack(nonce: str) -> DeltaRequest:
    return DeltaRequest(LDS, nonce=nonce)


def nack(nonce: str, error: str) -> DeltaRequest:
    return DeltaRequest(LDS, nonce=nonce, error=error)


def refused(second: Snapshot) -> Dialogue:
    """A client that holds the first world and refuses `l` of the second; two responses were sent to it."""
    return (
        Dialogue(DeltaStream())
        >> FIRST
        >> DeltaRequest(LDS) << Sent(LDS, "1", "l=1 m=1")
        >> ack("1")
        >> second << Sent(LDS, "2", "l=2")
        >> nack("2", "l: no") << (Refused(LDS, "2", "l"), Wake(1.0, "retry-1"))
    )  # fmt: skip


SECOND = world(listeners=["l=2", "m"], after=FIRST)


def test_a_refused_listener_is_tried_again_after_twice_as_long_each_time() -> None:
    (
        refused(SECOND)
        >> "retry-1" << Sent(LDS, "3", "l=2")
        >> nack("3", "l: no") << (Refused(LDS, "3", "l"), Wake(2.0, "retry-2"))
        >> "retry-1" << None
        >> "retry-2" << Sent(LDS, "4", "l=2")
        >> nack("4", "l: no") << (Refused(LDS, "4", "l"), Wake(4.0, "retry-3"))
        >> "retry-3" << Sent(LDS, "5", "l=2")
        >> ack("5") << None
    )  # fmt: skip


def test_a_refused_listener_is_tried_again_when_another_one_was_accepted() -> None:
    (
        refused(SECOND)
        >> world(listeners=["l=2", "m=2"], after=SECOND) << (Sent(LDS, "3", "m=2"), Wake(1.0, "retry-2"))
        >> ack("3") << Sent(LDS, "4", "l=2")
        >> ack("4") << None
        >> "retry-2" << None
    )  # fmt: skip


def test_a_refused_listener_is_tried_again_when_another_one_has_gone() -> None:
    (
        refused(SECOND)
        >> world(listeners=["l=2"], after=SECOND) << (Sent(LDS, "3", removed="m"), Wake(1.0, "retry-2"))
        >> ack("3") << Sent(LDS, "4", "l=2")
    )  # fmt: skip


def test_an_acceptance_that_changes_nothing_helps_nobody() -> None:
    (
        refused(SECOND)
        >> DeltaRequest(LDS, ("m",)) << Sent(LDS, "3", "m=1")
        >> ack("3") << None
    )  # fmt: skip


def test_new_content_begins_with_a_short_time_again() -> None:
    (
        refused(SECOND)
        >> "retry-1" << Sent(LDS, "3", "l=2")
        >> nack("3", "l: no") << (Refused(LDS, "3", "l"), Wake(2.0, "retry-2"))
        >> world(listeners=["l=3", "m"], after=SECOND) << Sent(LDS, "4", "l=3")
        >> nack("4", "l: no") << (Refused(LDS, "4", "l"), Wake(1.0, "retry-3"))
        >> "retry-2" << None
    )  # fmt: skip


def test_what_is_gone_from_the_world_is_not_tried_again() -> None:
    (
        refused(SECOND)
        >> world(listeners=["m"], after=SECOND) << Sent(LDS, "3", removed="l")
        >> ack("3") << None
        >> "retry-1" << None
    )  # fmt: skip


def test_in_sotw_too() -> None:
    def say(nonce: str, error: str | None = None) -> SotwRequest:
        return SotwRequest(LDS, nonce=nonce, error=error)

    (
        Dialogue(SotwStream())
        >> FIRST
        >> SotwRequest(LDS) << Sent(LDS, "1", "l=1 m=1")
        >> say("1")
        >> SECOND << Sent(LDS, "2", "l=2 m=1")
        >> say("2", "l: no") << (Refused(LDS, "2", "l"), Wake(1.0, "retry-1"))
        >> "retry-1" << Sent(LDS, "3", "l=2 m=1")
        >> say("3") << None
    )  # fmt: skip


def test_a_minute_is_the_longest() -> None:
    listeners = Channel(LDS, deniable=True)
    listeners.refused["l"] = "1"
    retries, waits = Retries(), []
    for _ in range(8):
        wake = retries.next(listeners)
        assert wake is not None
        waits.append(wake.seconds)
        retries.due(wake.token)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
