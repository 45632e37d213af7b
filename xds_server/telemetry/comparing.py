"""Two deployments of an app side by side, by component and rule, in the same flushes; and what all of them do now."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.statistics import CLASSES, EDGES, Series
from xds_server.stats import Counts, Tick, ratio_interval
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.ticks import ERRORS, NUMBERS, Guard, counts_of
from xds_server.telemetry.totals import Gap, Sums

QUANTILES = (0.5, 0.9, 0.99)
SLOW = 0.95
"""What is slow is what took longer than this part of the first side's requests."""
MOST_TICKS = 300
"""Neighbours are put together until there are no more, for what is said to be said soon."""
UNLIKELY = 0.001
"""The probability below which a share is not what was set."""
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Side:
    """What one deployment did. `quantiles`: between which milliseconds each of `QUANTILES` is; infinity: beyond the
    last edge. `errors` None: nobody knows whose they were.
    """

    requests: int
    errors: int | None
    quantiles: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One component under one rule. Ratios are of the second side's rate to the first's, with bounds that are wrong in
    at most one of twenty comparisons, however often one looks. `slower_than`: milliseconds.
    """

    component: str
    rule: str
    first: Side
    second: Side
    errors: Span
    slow: Span
    slower_than: float


class Share(NamedTuple):
    """Of the default requests, what a deployment had and what was set. `probability`: of a difference as large as this,
    if every request were drawn by itself.
    """

    deployment: Ref
    requests: int
    actual: float
    set: float
    probability: float

    @property
    def unlikely(self) -> bool:
        return self.probability < UNLIKELY


class LeftOut(NamedTuple):
    """What was heard of two deployments and is not compared, as nobody knows since when it was counted."""

    gap: Gap
    flushes: int
    requests: int
    nodes: tuple[str, ...]


def left_out(flushes: Sequence[Numbered], deployments: Sequence[Ref]) -> list[LeftOut]:
    """By why."""
    return [each for each in (_left_out(gap, flushes, deployments) for gap in Gap) if each.flushes]


def _left_out(gap: Gap, flushes: Iterable[Numbered], deployments: Sequence[Ref]) -> LeftOut:
    counted = [(each.node, sum(map(_answered, map(each.of, deployments)))) for each in flushes if each.gap is gap]
    found = [(node, requests) for node, requests in counted if requests]
    return LeftOut(gap, len(found), sum(requests for _, requests in found), tuple(sorted({node for node, _ in found})))


def _answered(own: Sums) -> int:
    return sum(count for series, count in own.items() if series.what in CLASSES)


def compared(flushes: Sequence[Numbered], first: Ref, second: Ref) -> list[Row]:
    """By component and rule, of which either side had a request."""
    parts = [(_by_component(each.of(first)), _by_component(each.of(second))) for each in flushes]
    rules: defaultdict[str, set[str]] = defaultdict(set)
    for part in parts:
        for side in part:
            for component, own in side.items():
                rules[component].update(series.rule for series in own if series.what in CLASSES)
    return [
        _row(component, rule, [tuple(side.get(component, {}) for side in part) for part in parts])
        for component in sorted(rules)
        for rule in sorted(rules[component])
    ]


def shares(flushes: Iterable[Numbered], rule: str, components: Iterable[str], set_: Mapping[Ref, int]) -> list[Share]:
    """`set_`: in hundredths of a percent. `components`: those that users ask for."""
    asked = frozenset(components)
    requests = dict.fromkeys(set_, 0)
    for each in flushes:
        for deployment in set_:
            requests[deployment] += _requests(each.of(deployment), rule, asked)
    total = sum(requests.values())
    return [
        _share(deployment, requests[deployment], total, part / 10_000) for deployment, part in set_.items() if total
    ]


def quantile(buckets: Mapping[int, int], part: float) -> Span:
    """Between which milliseconds so large a part of requests took no longer; 0, 0: there is none.

    `buckets`: by their numbers.
    """
    total = sum(buckets.values())
    below = 0
    for number in sorted(buckets):
        below += buckets[number]
        if total and below >= part * total:
            return EDGES[number - 1] if number else 0.0, EDGES[number] if number < len(EDGES) else float("inf")
    return 0.0, 0.0


def buckets_of(own: Sums, rule: str) -> dict[int, int]:
    found: defaultdict[int, int] = defaultdict(int)
    for series, count in own.items():
        number = NUMBERS.get(series.what)
        if number is not None and series.rule == rule:
            found[number] += count
    return dict(found)


def _row(component: str, rule: str, parts: Sequence[tuple[Sums, ...]]) -> Row:
    latencies = [_summed(buckets_of(part[side], rule) for part in parts) for side in (0, 1)]
    low, edge = quantile(latencies[0] or latencies[1], SLOW)
    number = EDGES.index(edge) if edge in EDGES else len(EDGES) - 1
    return Row(
        component,
        rule,
        _side(parts, 0, rule, latencies[0]),
        _side(parts, 1, rule, latencies[1]),
        _interval(parts, rule, ERRORS),
        _interval(parts, rule, Guard(number)),
        EDGES[number] if latencies[0] or latencies[1] else low,
    )


def _side(parts: Sequence[tuple[Sums, ...]], side: int, rule: str, latency: Mapping[int, int]) -> Side:
    requests = sum(_requests(part[side], rule) for part in parts)
    counts = [counts_of(part[side], rule) for part in parts]
    errors = sum(each.bad for each in counts if each is not None)
    unknown = any(each is None for each in counts)
    return Side(requests, None if unknown else errors, tuple(quantile(latency, each) for each in QUANTILES))


def _interval(parts: Sequence[tuple[Sums, ...]], rule: str, guard: Guard) -> Span:
    """Ticks in which nothing was bad say nothing about the ratio."""
    ticks = []
    for part in parts:
        first, second = (counts_of(side, rule, guard) for side in part)
        if first is not None and second is not None and first.bad + second.bad:
            ticks.append(Tick(second, first))
    return ratio_interval(_fewer(ticks))


def _fewer(ticks: list[Tick]) -> list[Tick]:
    size = -(-len(ticks) // MOST_TICKS)
    return [_together(ticks[start : start + size]) for start in range(0, len(ticks), size or 1)]


def _together(ticks: Iterable[Tick]) -> Tick:
    canary, stable = Counts(), Counts()
    for tick in ticks:
        canary, stable = canary.plus(tick.canary), stable.plus(tick.stable)
    return Tick(canary, stable)


def _share(deployment: Ref, requests: int, total: int, part: float) -> Share:
    """Chi-square with one degree of freedom: this deployment, and all others."""
    expected, variance = total * part, total * part * (1 - part)
    off = (requests - expected) ** 2
    probability = erfc(sqrt(off / variance / 2)) if variance else float(not off)
    return Share(deployment, requests, requests / total, part, probability)


def _requests(own: Sums, rule: str, components: frozenset[str] | None = None) -> int:
    return sum(
        count
        for series, count in own.items()
        if series.rule == rule and series.what in CLASSES and (components is None or series.component in components)
    )


def _by_component(own: Sums) -> dict[str, dict[Series, int]]:
    found: defaultdict[str, dict[Series, int]] = defaultdict(dict)
    for series, count in own.items():
        found[series.component][series] = count
    return found


def _summed(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    found: defaultdict[int, int] = defaultdict(int)
    for each in counts:
        for number, count in each.items():
            found[number] += count
    return dict(found)


class Now(NamedTuple):
    """What one component of one deployment did under one rule."""

    deployment: Ref
    component: str
    rule: str
    requests: int
    errors: int
    quantiles: tuple[Span, ...]


def now(flushes: Iterable[Numbered], deployments: Iterable[Ref]) -> Iterator[Now]:
    """Of these deployments, in these flushes, whatever had a request. `errors`: those that are known to be so."""
    kept = list(flushes)
    for deployment in deployments:
        summed: defaultdict[Series, int] = defaultdict(int)
        for each in kept:
            for series, count in each.of(deployment).items():
                summed[series] += count
        for component, own in sorted(_by_component(summed).items()):
            yield from _now(deployment, component, own)


def _now(deployment: Ref, component: str, own: Sums) -> Iterator[Now]:
    for rule in sorted({series.rule for series in own if series.what in CLASSES}):
        counts, latency, requests = counts_of(own, rule), buckets_of(own, rule), _requests(own, rule)
        errors = 0 if counts is None else counts.bad
        if requests:
            yield Now(deployment, component, rule, requests, errors, tuple(quantile(latency, q) for q in QUANTILES))
