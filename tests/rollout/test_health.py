from functools import reduce

import pytest

from xds_server.rollout import Health, Judgement, Verdict, hopeless, judged
from xds_server.stats import Counts, Evidence, Lately, Limits, Outset, Tick

LIMITS = Limits()


def after(*ticks: Tick) -> Evidence:
    return reduce(lambda found, tick: found.after(tick, LIMITS), ticks, Evidence())


def said(*verdicts: Verdict) -> Health:
    return Health(tuple(Judgement(f"guard {each}", "users", each, f"because {each}") for each in verdicts))


@pytest.mark.parametrize(
    ("tick", "times", "verdict", "because"),
    [
        pytest.param(
            Tick(Counts(300, 3), Counts(5_700, 28)),
            12,
            Verdict.WORSE,
            "errors: 36 of 3,600 (1.00%) at the canary, 336 of 68,400 (0.49%) at stable; e-value 174, limit 20",
            id="worse",
        ),
        pytest.param(
            Tick(Counts(300, 1), Counts(5_700, 19)),
            60,
            Verdict.SAFE,
            "errors: 60 of 18,000 (0.33%) at the canary, 1,140 of 342,000 (0.33%) at stable; e-value 100, needed 20",
            id="safe",
        ),
        pytest.param(
            Tick(Counts(2, 0), Counts(38, 0)),
            60,
            Verdict.UNKNOWN,
            "errors: 0 of 120 (0.00%) at the canary, 0 of 2,280 (0.00%) at stable; "
            "about 3,979 more requests of the canary are needed",
            id="too few",
        ),
    ],
)
def test_a_judgement_says_its_numbers(tick, times, verdict, because):
    found = judged("errors", "users", after(*[tick] * times), LIMITS)
    assert (found.verdict, found.because) == (verdict, because)


def test_what_is_worse_within_what_is_allowed_is_safe():
    evidence = after(*[Tick(Counts(3_000, 180), Counts(3_000, 150))] * 40)
    assert evidence.is_worse(LIMITS)
    assert judged("errors", "users", evidence, LIMITS).verdict is Verdict.SAFE


@pytest.mark.parametrize(
    "tick", [Tick(Counts(300, 1), Counts(5_700, 19)), Tick(Counts(3_000, 180), Counts(3_000, 150))]
)
def test_while_both_fail_nobody_is_safe_nor_worse_who_was_not(tick):
    evidence = after(*[tick] * 60)
    assert judged("errors", "users", evidence, LIMITS).verdict is Verdict.SAFE
    found = judged("errors", "users", evidence, LIMITS, Lately(50, 48, 50, 49))
    assert found.verdict is Verdict.UNKNOWN
    assert found.because.endswith(" at stable; but now 97% of all requests fail, at both")


def test_who_is_worse_is_so_also_while_both_fail():
    evidence = after(*[Tick(Counts(300, 300), Counts(300, 200))] * 10)
    assert judged("errors", "users", evidence, LIMITS, Lately(50, 48, 50, 49)).verdict is Verdict.WORSE


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        pytest.param((), Verdict.SAFE, id="nobody objects"),
        pytest.param((Verdict.SAFE, Verdict.SAFE), Verdict.SAFE, id="all say so"),
        pytest.param((Verdict.SAFE, Verdict.UNKNOWN), Verdict.UNKNOWN, id="one cannot say"),
        pytest.param((Verdict.UNKNOWN, Verdict.WORSE, Verdict.SAFE), Verdict.WORSE, id="one is enough"),
    ],
)
def test_all_guards_decide(verdicts, verdict):
    health = said(*verdicts)
    assert health.verdict is verdict
    assert health.because == "; ".join(f"because {each}" for each in verdicts if each is verdict)


def test_who_is_hopeless_is_said():
    bad, good = Outset(Counts(10, 6), Counts(90, 1)), Outset(Counts(10, 0), Counts(90, 1))
    assert hopeless([("slow", good), ("errors", bad)]) == (
        "errors: 6 of 10 (60.00%) of the canary's first requests, 1 of 90 (1.11%) at stable"
    )
    assert hopeless([("slow", good)]) == ""
