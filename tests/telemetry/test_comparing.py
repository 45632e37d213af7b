from dataclasses import replace
from math import inf

import pytest

from xds_server.domain.names import Ref
from xds_server.domain.statistics import EDGES, Series
from xds_server.telemetry import Names
from xds_server.telemetry.comparing import MOST_TICKS, LeftOut, compared, left_out, now, quantile, shares
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.totals import Gap

V1, V2 = Ref("default", "shop-v1"), Ref("default", "shop-v2")
WEB = Series(V1, "web", "default", "2xx")


def flush(counts: dict[Series, int]) -> Numbered:
    names = Names()
    names.series = dict(enumerate(counts))
    return Numbered(1, "edge-1", 1, 1.0, names, dict(enumerate(counts.values())))


def answered(v1: tuple[int, int], v2: tuple[int, int], rule: str = "default") -> Numbered:
    """Requests and errors of either, under a rule."""
    return flush(
        {
            WEB._replace(deployment=deployment, rule=rule, what=what): count
            for deployment, (good, bad) in ((V1, v1), (V2, v2))
            for what, count in (("2xx", good), ("5xx", bad))
        }
    )


def test_every_component_and_rule_is_a_row() -> None:
    both = [answered((90, 10), (9, 1)), answered((5, 0), (7, 0), "early")]
    both.append(flush({WEB._replace(component="cart"): 3}))

    rows = compared(both, V1, V2)

    found = [(row.component, row.rule, row.first.requests, row.second.requests) for row in rows]
    assert found == [("cart", "default", 3, 0), ("web", "default", 100, 10), ("web", "early", 5, 7)]
    assert [(row.first.errors, row.second.errors) for row in rows] == [(0, 0), (10, 1), (0, 0)]


def test_the_bounds_of_a_ratio_hold_what_is_so_and_narrow() -> None:
    few, many = (compared([answered((900, 100), (800, 200))] * number, V1, V2)[0].errors for number in (1, 50))
    assert few[0] < 2 < few[1]
    assert 1.5 < many[0] < 2 < many[1] < 2.5
    assert many[1] - many[0] < few[1] - few[0]


def test_without_anything_bad_there_is_no_bound() -> None:
    assert compared([answered((100, 0), (100, 0))], V1, V2)[0].errors == (0.0, inf)


def test_more_flushes_than_are_looked_at_are_put_together() -> None:
    row = compared([answered((90, 10), (80, 20))] * (2 * MOST_TICKS + 1), V1, V2)[0]
    assert row.first.requests == 100 * (2 * MOST_TICKS + 1)
    assert row.errors[0] < 2 < row.errors[1]


def test_nobody_knows_whose_calls_failed() -> None:
    calls = {WEB: 3, WEB._replace(rule="early"): 3, WEB._replace(rule="", what="grpc.14"): 1}
    assert [row.first.errors for row in compared([flush(calls)], V1, V2)] == [None, None]


def test_what_is_slow_is_what_few_of_the_first_are() -> None:
    quick, slow = (f"le.{EDGES.index(edge)}" for edge in (50, 400))
    counts = {WEB: 100, WEB._replace(deployment=V2): 100}
    for deployment, times in ((V1, (97, 3)), (V2, (50, 50))):
        counts |= {
            WEB._replace(deployment=deployment, what=what): count
            for what, count in zip((quick, slow), times, strict=True)
        }
    [row] = compared([flush(counts)] * 5, V1, V2)

    assert row.slower_than == 50
    assert row.first.quantiles == ((30, 50), (30, 50), (300, 400))
    assert row.second.quantiles == ((30, 50), (300, 400), (300, 400))
    assert row.slow[0] > 3


@pytest.mark.parametrize(
    ("buckets", "part", "span"),
    [({}, 0.5, (0, 0)), ({0: 1}, 0.5, (0, 1)), ({len(EDGES): 1}, 0.5, (10_000, inf)), ({2: 9, 4: 1}, 0.9, (2.5, 5))],
    ids=["none", "the-first", "beyond-the-last", "on-the-border"],
)
def test_a_quantile_is_between_two_edges(buckets: dict[int, int], part: float, span: tuple[float, float]) -> None:
    assert quantile(buckets, part) == span


@pytest.mark.parametrize(("v1", "v2", "unlikely"), [(900, 100, False), (915, 85, False), (950, 50, True), (0, 0, None)])
def test_a_share_that_cannot_be_chance_is_told(v1: int, v2: int, unlikely: bool | None) -> None:
    found = shares([answered((v1, 0), (v2, 0))], "default", ["web"], {V1: 9000, V2: 1000})

    assert [each.unlikely for each in found] == ([] if unlikely is None else [unlikely] * 2)


def test_a_share_of_nothing_is_kept_exactly() -> None:
    found = shares([answered((10, 0), (1, 0))], "default", ["web"], {V1: 10_000, V2: 0})
    assert [each.unlikely for each in found] == [True, True]
    found = shares([answered((10, 0), (0, 0))], "default", ["web"], {V1: 10_000, V2: 0})
    assert [(each.actual, each.unlikely) for each in found] == [(1.0, False), (0.0, False)]


def test_requests_of_others_are_in_no_share() -> None:
    calls = flush({WEB: 5, WEB._replace(component="cart", rule="context"): 7, WEB._replace(rule="early"): 9})
    [found] = shares([calls], "default", ["web"], {V1: 10_000})
    assert found.requests == 5


def test_what_is_left_out_is_told_by_why() -> None:
    began, again = (replace(answered((9, 1), (5, 0)), gap=gap) for gap in (Gap.NEW, Gap.AGAIN))
    other = replace(flush({WEB._replace(deployment=Ref("default", "shop-v3")): 7}), gap=Gap.SERVER)
    second = replace(began, node="edge-2")
    assert left_out([again, began, second, second, other], [V1, V2]) == [
        LeftOut(Gap.NEW, 3, 45, ("edge-1", "edge-2")),
        LeftOut(Gap.AGAIN, 1, 15, ("edge-1",)),
    ]


def test_now_is_whatever_had_a_request() -> None:
    found = list(now([answered((9, 1), (0, 0)), answered((1, 0), (0, 0), "early")], [V1, V2]))
    assert [(each.deployment, each.rule, each.requests, each.errors) for each in found] == [
        (V1, "default", 10, 1),
        (V1, "early", 1, 0),
    ]
