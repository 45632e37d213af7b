"""What the judge is given: requests of a canary and of stable in whole flushes of one proxy, of the same users.

Requests are those under one rule (a cohort), at gateways: users drawn by weight are under `default`, each audience
under its own name. gRPC statuses are counted of a cluster, whatever the rule: in a flush in which calls of a component
came by several rules and some failed, nobody knows whose they were, and there is no tick.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.statistics import BUCKETS, CLASSES, edge_above
from xds_server.stats import Counts, Pairing, Tick
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.totals import Sums

FAILED = frozenset(f"grpc.{status}" for status in (2, 4, 13, 14, 15))
"""UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS: the server's fault, as a 5xx is."""
BAD_CLASS = "5xx"
NUMBERS = {name: number for number, name in enumerate(BUCKETS)}


class Guard(NamedTuple):
    """What is bad: an error; or, with `slower_than`, what took longer than this edge (its number)."""

    slower_than: int | None = None


ERRORS = Guard()


def slow(over_milliseconds: float) -> Guard:
    """Requests are told apart at edges: the limit is the first that is not below it."""
    return Guard(edge_above(over_milliseconds))


class Comparison(NamedTuple):
    """A canary beside stable, for the users under a rule, by a guard."""

    canary: Ref
    stable: Ref
    cohort: str
    guard: Guard = ERRORS


def ticks_of(flushes: Iterable[Numbered], comparison: Comparison, pairing: Pairing) -> list[Tick]:
    """Those that these flushes make whole: each is told once, the oldest first, with the same `pairing`."""
    found = ((each, tick_of(each, comparison)) for each in flushes)
    ticks = (pairing.tick(each.node, each.heard, tick) for each, tick in found if tick is not None)
    return [tick for tick in ticks if tick is not None]


def tick_of(flush: Numbered, comparison: Comparison) -> Tick | None:
    """What one flush says of both sides. None if neither had a request, or nobody knows whose errors they were."""
    canary, stable = (
        counts_of(flush.of(deployment), comparison.cohort, comparison.guard)
        for deployment in (comparison.canary, comparison.stable)
    )
    if canary is None or stable is None or not (canary.requests or stable.requests):
        return None
    return Tick(canary, stable)


def history(flushes: Iterable[Numbered], deployment: Ref, cohort: str, guard: Guard) -> Iterator[Counts]:
    """What each flush says of one deployment alone, if anything."""
    for each in flushes:
        counts = counts_of(each.of(deployment), cohort, guard)
        if counts is not None and counts.requests:
            yield counts


def counts_of(own: Sums, cohort: str, guard: Guard = ERRORS) -> Counts | None:
    """`own`: of one deployment, in one flush or in all. None if nobody knows whose errors they were."""
    return _errors(own, cohort) if guard.slower_than is None else _slow(own, cohort, guard.slower_than)


def _slow(own: Sums, cohort: str, edge: int) -> Counts:
    requests = slower = 0
    for series, count in own.items():
        number = NUMBERS.get(series.what)
        if number is not None and series.rule == cohort:
            requests += count
            slower += count if number > edge else 0
    return Counts(requests, slower)


def _errors(own: Sums, cohort: str) -> Counts | None:
    requests = bad = 0
    rules: defaultdict[str, set[str]] = defaultdict(set)
    failed: defaultdict[str, int] = defaultdict(int)
    for series, count in own.items():
        if series.what in FAILED:
            failed[series.component] += count
        elif series.what in CLASSES:
            rules[series.component].add(series.rule)
            requests += count if series.rule == cohort else 0
            bad += count if (series.rule, series.what) == (cohort, BAD_CLASS) else 0
    concerned = {component: count for component, count in failed.items() if count and cohort in rules[component]}
    if any(len(rules[component]) > 1 for component in concerned):
        return None
    return Counts(requests, bad + sum(concerned.values()))
