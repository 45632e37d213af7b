from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.rollout.releases import planned
from xds_server.records.progress import Ended, Progress
from xds_server.rollout import (
    Finish,
    Frozen,
    Health,
    Held,
    Judgement,
    MoveTo,
    Plan,
    RollBack,
    Verdict,
    Wait,
    decide,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STEPS = [{"to": 5, "for": "20m"}, {"to": 25, "need": "safe"}, {"gate": "release manager"}, {"to": 100}]


def plan(**rollout: Any) -> Plan:
    return planned(rollout={"steps": STEPS, "guard": {"errors": {"maxRatio": 1.5}}, **rollout})


def at(step: int, minutes: float = 1, **more: Any) -> Progress:
    return Progress(plan().identity, step, minutes * MINUTE, **more)


def health(verdict: Verdict) -> Health:
    return Health((Judgement("errors", "users", verdict, f"it is {verdict}"),))


SAFE, UNKNOWN, WORSE = map(health, (Verdict.SAFE, Verdict.UNKNOWN, Verdict.WORSE))


@pytest.mark.parametrize(
    ("progress", "healthy", "decision"),
    [
        pytest.param(at(-1), UNKNOWN, MoveTo(0, "it begins"), id="it begins"),
        pytest.param(at(0, 5), SAFE, Wait("stays at 5 % for 15m more", NOON + 15 * MINUTE), id="its time is not over"),
        pytest.param(
            at(0, 20),
            UNKNOWN,
            Wait("not known to be safe: it is unknown", held=Held.EVIDENCE),
            id="its time is over, and no more",
        ),
        pytest.param(
            at(0, 20), SAFE, MoveTo(1, "stayed 20m at 5 %; safe: it is safe"), id="its time is over, and safe"
        ),
        pytest.param(
            at(1), UNKNOWN, Wait("not known to be safe: it is unknown", held=Held.EVIDENCE), id="it needs to be safe"
        ),
        pytest.param(at(1, 1), SAFE, MoveTo(2, "stayed 1m at 25 %; safe: it is safe"), id="it is safe"),
        pytest.param(at(2), SAFE, Wait("waits for the word of release manager", held=Held.GATE), id="a gate"),
        pytest.param(
            at(2, approved=frozenset({2})), SAFE, MoveTo(3, "release manager has approved"), id="an approved gate"
        ),
        pytest.param(at(3, 1), SAFE, Finish("stayed 1m at 100 %; safe: it is safe"), id="the end"),
        pytest.param(at(0, 5), WORSE, RollBack("it is worse"), id="worse"),
        pytest.param(at(2, paused="lunch"), WORSE, RollBack("it is worse"), id="worse while paused"),
        pytest.param(at(1, paused="lunch"), SAFE, Wait("paused: lunch", held=Held.PAUSED), id="paused"),
        pytest.param(at(0), Health(hopeless="5 of 5"), RollBack("5 of 5"), id="hopeless"),
        pytest.param(
            at(1, ended=Ended.ROLLED_BACK, because="it was worse"), SAFE, Wait("rolled back: it was worse"), id="ended"
        ),
    ],
)
def test_a_rollout(progress, healthy, decision):
    assert decide(plan(), progress, healthy, NOON) == decision


def test_it_begins_at_the_first_step_that_takes_nothing_from_the_canary():
    given = planned({"shop-v1": 90, "shop-v2": 10}, rollout={"steps": STEPS, "guard": {"errors": {"maxRatio": 1.5}}})
    assert decide(given, at(-1), UNKNOWN, NOON) == MoveTo(1, "it begins")


@pytest.mark.parametrize(
    ("rollout", "progress", "healthy", "decision"),
    [
        pytest.param(
            {"guard": {"errors": {"maxRatio": 1.5}, "onWorse": "hold"}},
            at(0, 30),
            WORSE,
            Wait("worse: it is worse", held=Held.WORSE),
            id="who is worse is held",
        ),
        pytest.param(
            {"guard": {"errors": {"maxRatio": 1.5}, "onUnknown": "advance"}},
            at(0, 20),
            UNKNOWN,
            MoveTo(1, "stayed 20m at 5 %; unknown: it is unknown"),
            id="time is enough",
        ),
        pytest.param(
            {"guard": {"errors": {"maxRatio": 1.5}, "onUnknown": "advance"}},
            at(1, 20),
            UNKNOWN,
            Wait("not known to be safe: it is unknown", held=Held.EVIDENCE),
            id="time is not enough for what needs to be safe",
        ),
        pytest.param(
            {"guard": None, "steps": [{"to": 5, "for": "20m"}, {"to": 100}]},
            at(0, 20),
            Health(),
            MoveTo(1, "stayed 20m at 5 %"),
            id="without a guard",
        ),
        pytest.param(
            {"maxHold": "1h"},
            at(0, 300, waited=59 * MINUTE),
            UNKNOWN,
            Wait("not known to be safe: it is unknown", NOON + MINUTE, held=Held.EVIDENCE),
            id="not held for too long yet",
        ),
        pytest.param(
            {"maxHold": "1h"},
            at(0, 300, waited=60 * MINUTE),
            UNKNOWN,
            RollBack("held for 1h, which is maxHold: not known to be safe: it is unknown"),
            id="held for too long",
        ),
        pytest.param({}, at(0, 0), SAFE, Wait("5 % is not live at every proxy yet"), id="not live yet"),
        pytest.param(
            {},
            at(0, 0, dark=MINUTE),
            SAFE,
            Wait("5 % is not live at every proxy yet", held=Held.LIVE),
            id="not live for long",
        ),
        pytest.param(
            {"maxHold": "1h"},
            at(0, 0, dark=90 * MINUTE, waited=60 * MINUTE),
            SAFE,
            RollBack("held for 1h, which is maxHold: 5 % is not live at every proxy yet"),
            id="not live for too long",
        ),
        pytest.param(
            {"steps": [{"to": 10}, {"to": 100, "need": "safe"}]},
            at(1, 1),
            UNKNOWN,
            Finish("stayed 1m at 100 %, where nothing is left to compare it with"),
            id="nothing left to compare with",
        ),
        pytest.param(
            {"steps": [{"to": 10}, {"to": 100, "for": "20m"}], "maxHold": "1h"},
            at(1, 19, waited=90 * MINUTE),
            UNKNOWN,
            Wait("stays at 100 % for 1m more", NOON + MINUTE),
            id="where it has everything, time alone",
        ),
        pytest.param(
            {"steps": [{"to": 10}, {"to": 100, "need": "safe"}]},
            at(1, 1),
            WORSE,
            RollBack("it is worse"),
            id="worse where it has everything",
        ),
        pytest.param({"freeze": True}, at(0, 20), SAFE, Wait("frozen by its record", held=Held.FROZEN), id="frozen"),
        pytest.param({"freeze": True}, at(0, 20), WORSE, RollBack("it is worse"), id="worse while frozen"),
        pytest.param(
            {"within": "Mon-Thu 14:00-16:00 Europe/Berlin"},
            at(0, 20),
            SAFE,
            Wait(
                "outside its window, which opens at 2026-11-26T13:00:00Z",
                datetime(2026, 11, 26, 13, tzinfo=UTC),
                held=Held.WINDOW,
            ),
            id="outside its window",
        ),
        pytest.param(
            {"within": "Mon-Thu 13:00-16:00 Europe/Berlin"},
            at(0, 20),
            SAFE,
            MoveTo(1, "stayed 20m at 5 %; safe: it is safe"),
            id="inside its window",
        ),
    ],
)
def test_what_the_record_says(rollout, progress, healthy, decision):
    assert decide(plan(**rollout), progress, healthy, NOON) == decision


def test_a_freeze_holds_every_rollout_until_it_is_over():
    frozen = Frozen(NOON + MINUTE, "Black Friday")
    waits = Wait("frozen until 2026-11-26T12:01:00Z: Black Friday", NOON + MINUTE, held=Held.FROZEN)
    assert decide(plan(), at(0, 20), SAFE, NOON, frozen) == waits
    assert isinstance(decide(plan(), at(0, 20), SAFE, NOON + MINUTE, frozen), MoveTo)
    assert isinstance(decide(plan(), at(0, 20), WORSE, NOON, frozen), RollBack)
