from dataclasses import replace

import pytest

from xds_server.domain.names import Ref
from xds_server.domain.statistics import EDGES, Series
from xds_server.stats import Counts, Pairing, Tick
from xds_server.telemetry import Change, Comparison, Flushes, Names, Process
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.ticks import ERRORS, Guard, counts_of, history, slow, tick_of, ticks_of

V1, V2 = Ref("default", "shop-v1"), Ref("default", "shop-v2")
DEFAULT = Comparison(V2, V1, "default")


def series(deployment: Ref, what: str, rule: str = "default", component: str = "web") -> Series:
    return Series(deployment, component, rule, what)


def flush(added: dict[Series, int]) -> Numbered:
    """Each series has its own number."""
    names = Names()
    names.series = dict(enumerate(added))
    return Numbered(1, "edge-1", 1, 1.0, names, dict(enumerate(added.values())))


HEALTHY = {series(V1, "2xx"): 90, series(V1, "5xx"): 1, series(V2, "2xx"): 8, series(V2, "5xx"): 2}


def test_a_tick_has_both_sides() -> None:
    assert tick_of(flush(HEALTHY), DEFAULT) == Tick(Counts(10, 2), Counts(91, 1))


def test_a_flush_says_something_if_one_side_had_requests() -> None:
    assert tick_of(flush({}), DEFAULT) is None
    assert tick_of(flush({series(V2, "2xx", "early"): 5}), DEFAULT) is None
    assert tick_of(flush({series(V1, "2xx"): 90}), DEFAULT) == Tick(Counts(), Counts(90, 0))


def test_flushes_of_one_side_are_a_tick_with_the_next_ones_of_that_proxy() -> None:
    stable, canary = {series(V1, "2xx"): 90}, {series(V2, "2xx"): 8, series(V2, "5xx"): 2}
    others, pairing = replace(flush(canary), node="edge-2"), Pairing()
    assert ticks_of([flush(stable), others], DEFAULT, pairing) == []
    assert ticks_of([flush({}), flush(canary)], DEFAULT, pairing) == [Tick(Counts(10, 2), Counts(90, 0))]


def test_every_audience_is_apart() -> None:
    added = HEALTHY | {series(V2, "5xx", "early"): 50, series(V1, "2xx", "early"): 50}
    assert tick_of(flush(added), DEFAULT) == Tick(Counts(10, 2), Counts(91, 1))
    assert tick_of(flush(added), DEFAULT._replace(cohort="early")) == Tick(Counts(50, 50), Counts(50, 0))


def test_calls_inside_the_mesh_are_no_requests_of_users() -> None:
    added = HEALTHY | {series(V2, "5xx", "context", "cart"): 50}
    assert tick_of(flush(added), DEFAULT) == Tick(Counts(10, 2), Counts(91, 1))


@pytest.mark.parametrize(
    ("status", "bad"), [(0, 0), (5, 0), (2, 3), (14, 3)], ids=["ok", "not-found", "unknown", "unavailable"]
)
def test_a_call_fails_by_its_status(status: int, bad: int) -> None:
    added = {series(V1, "2xx"): 10, series(V1, f"grpc.{status}", ""): 3, series(V1, "grpc.0", ""): 7}
    assert counts_of(added, "default") == Counts(10, bad)


def test_nobody_knows_whose_calls_failed_that_came_by_several_rules() -> None:
    added = {series(V1, "2xx"): 10, series(V1, "2xx", "early"): 1, series(V1, "grpc.14", ""): 3}
    assert counts_of(added, "default") is None
    assert counts_of(added, "explicit") == Counts(0, 0)
    other = {series(V1, "grpc.14", "", "cart"): 3, series(V1, "2xx", "context", "cart"): 3}
    assert counts_of(flush(HEALTHY | other).of(V1), "default") == Counts(91, 1)


def test_what_is_slow_took_longer_than_an_edge() -> None:
    quick, at, slower = (EDGES.index(edge) for edge in (100, 250, 300))
    added = {series(V1, f"le.{number}"): 10 for number in (quick, at, slower)} | {series(V1, f"le.{len(EDGES)}"): 1}
    assert counts_of(added, "default", slow(250)) == Counts(31, 11)
    assert counts_of(added, "default", slow(240)) == Counts(31, 11)
    assert counts_of(added, "default", slow(300)) == Counts(31, 1)
    assert slow(250) == Guard(at)


def test_ticks_are_those_of_flushes_after_a_number() -> None:
    names = Names()
    names.series = dict(enumerate(HEALTHY))
    flushes, process = Flushes(names), Process("edge-1", 0, exact=True)
    for time in (1, 2):
        counted = {number: total * time for number, total in enumerate(HEALTHY.values())}
        flushes.hear(Change(process, time, counted, whole=True))
    flushes.hear(Change(process, 3, {0: 5}, whole=True))

    assert ticks_of(flushes.since(1), DEFAULT, Pairing()) == [Tick(Counts(20, 4), Counts(182, 2))]
    assert list(history(flushes.since(0), V1, "default", ERRORS)) == [Counts(91, 1), Counts(182, 2), Counts(5, 0)]
