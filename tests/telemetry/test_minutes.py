from array import array
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telemetry.exports import RULE
from xds_server.domain.names import Ref
from xds_server.stats import Counts
from xds_server.telemetry import Names
from xds_server.telemetry import minutes as module
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.minutes import LONGEST, Minutes, Told
from xds_server.telemetry.ticks import ERRORS, Guard, history, slow

V1, V2 = Ref("default", "shop-v1"), Ref("default", "shop-v2")
GUARDS = [ERRORS, slow(50), slow(10_000)]
NAMES = Names()
NUMBERS: list[int] = []
for version in ("v1", "v2"):
    for rule in ("default", "early"):
        for what in ("2xx", "5xx"):
            found = NAMES.find(RULE.format(version, what).replace("rule/default", f"rule/{rule}"))
            assert found is not None
            NUMBERS.append(found.first)
        found = NAMES.find(RULE.format(version, "time").replace("rule/default", f"rule/{rule}"))
        assert found is not None
        NUMBERS += [found.first + 3, found.first + 9, found.first + 23]
    found = NAMES.find(f"cluster.shop-{version}/web.grpc.14")
    assert found is not None
    NUMBERS.append(found.first)
WEB = NUMBERS[0]


def flush(added: dict[int, int]) -> Numbered:
    return Numbered(1, "edge-1", 0, 0.0, NAMES, added)


def closed(minutes: Minutes) -> int:
    """How many rows were to be written down."""
    return sum(len(part) for part in minutes.close())


ADDED = st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 50), min_size=1)


@given(st.lists(st.tuples(st.integers(1, 4), ADDED), max_size=12), st.integers(1, 3))
def test_a_minute_says_what_its_flushes_say_together(told: list[tuple[int, dict[int, int]]], at_once: int) -> None:
    """Also where nobody knows whose some of the errors were."""
    minutes, flushes = Minutes(NAMES), defaultdict[int, list[Numbered]](list)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", at_once)
        for minute, added in sorted(told, key=lambda each: each[0]):
            if minute != minutes.now:
                closed(minutes)
                minutes.begin(minute)
            minutes.hear(flush(added))
            flushes[minute].append(flush(added))
        closed(minutes)
    minutes.begin(5)

    def summed(guard: Guard, rule: str) -> list[Counts]:
        found = []
        for each in flushes.values():
            together = Counts()
            for said in history(each, V1, rule, guard):
                together = together.plus(said)
            found.append(together)
        return [each for each in found if each.requests]

    for guard in GUARDS:
        for rule in ("default", "early"):
            assert minutes.past([V1], rule, guard) == summed(guard, rule)


def test_deployments_are_put_together_minute_by_minute_and_the_minute_that_goes_on_is_not_there() -> None:
    minutes = Minutes(NAMES)
    for minute in (1, 2, 4):
        minutes.begin(minute)
        minutes.hear(flush({WEB: minute, WEB + 26: 1} if minute < 4 else {WEB: 9}))
        closed(minutes)
    assert NAMES.series[WEB + 26].deployment == V1
    assert minutes.past([V1, V2], "default", ERRORS) == [Counts(1, 0), Counts(2, 0)]
    assert minutes.past([V2], "default", ERRORS) == []


def test_they_are_let_go_after_an_hour_and_stay_when_a_clock_goes_back() -> None:
    minutes = Minutes(NAMES)
    for minute in (100, 101):
        minutes.begin(minute)
        minutes.hear(flush({WEB: minute}))
        closed(minutes)
    assert minutes.begin(100 + LONGEST) == []
    assert minutes.begin(101 + LONGEST) == [100]
    assert minutes.past([V1], "default", ERRORS) == [Counts(101, 0)]
    assert minutes.begin(99) == []
    assert minutes.past([V1], "default", ERRORS) == []
    minutes.begin(102)
    assert minutes.past([V1], "default", ERRORS) == [Counts(101, 0)]


def test_a_minute_that_comes_again_goes_on() -> None:
    minutes = Minutes(NAMES)
    for minute in (100, 99, 100, 101):
        minutes.begin(minute)
        minutes.hear(flush({WEB: 1}))
        closed(minutes)
    assert minutes.past([V1], "default", ERRORS) == [Counts(1, 0), Counts(2, 0)]


def test_of_too_many_the_oldest_minutes_are_let_go() -> None:
    minutes = Minutes(NAMES, most=2)
    gone = []
    for minute in (1, 2, 3, 4):
        gone.append(minutes.begin(minute))
        minutes.hear(flush({WEB: minute}))
        assert closed(minutes) == 1
    assert gone == [[], [], [], [1]]


def test_who_stops_writing_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    minutes = Minutes(NAMES)
    minutes.begin(1)
    minutes.hear(flush(dict.fromkeys(NUMBERS[:5], 2)))
    next(minutes.close())
    minutes.hear(flush({WEB: 5}))
    rows = [row for part in minutes.close() for row in part]
    latency = array("q", [0, 0, 0, 2, 0, 0, 0, 0, 0, 2, *[0] * 13])
    assert rows == [((V1, "default"), Told(9, 2, latency))]
