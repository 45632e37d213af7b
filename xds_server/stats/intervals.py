"""Between which bounds the ratio of two rates is, at any time and however often one looks: a confidence sequence.

The bounds are the ratios that a bet against them, half of it on more and half of it on less, has not won against.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from math import inf, log, sqrt

from xds_server.stats.bets import RATIOS, log_mean, part, won_whose
from xds_server.stats.counts import Tick

FURTHEST = 1e4
"""Beyond this ratio, and below its inverse, no bound is looked for."""
HALVINGS = 14
SIDES = tuple(chain(RATIOS, (1 / ratio for ratio in RATIOS)))


def ratio_interval(ticks: Sequence[Tick], alpha: float = 0.05, dispersion: float = 1.0) -> tuple[float, float]:
    """The canary's rate to stable's, wrong in at most `alpha` of the cases. 0 and infinity where there is no bound.

    It takes a millisecond for each tick that has a bad request: ticks of a minute do for what is only shown.
    """
    telling = [tick for tick in ticks if _tells(tick)]

    def excluded(ratio: float) -> bool:
        return log_mean([_against(telling, ratio, side, dispersion) for side in SIDES]) >= -log(alpha)

    middle = min(max(_estimate(telling), 1 / FURTHEST), FURTHEST)
    return _bound(excluded, middle, 1 / FURTHEST, 0.0), _bound(excluded, middle, FURTHEST, inf)


def _against(ticks: Iterable[Tick], null: float, side: float, dispersion: float) -> float:
    return sum(
        won_whose((tick.canary.bad, tick.stable.bad), part(tick.share, null), side, dispersion) for tick in ticks
    )


def _tells(tick: Tick) -> bool:
    canary, stable = tick
    return canary.requests > 0 and stable.requests > 0 and canary.bad + stable.bad > 0


def _estimate(ticks: Iterable[Tick]) -> float:
    """Over ticks with different shares (Mantel and Haenszel); 1 where nothing was bad."""
    above = below = 0.0
    for tick in ticks:
        above += tick.canary.bad * (1 - tick.share)
        below += tick.stable.bad * tick.share
    return above / below if below else (inf if above else 1.0)


def _bound(excluded: Callable[[float], bool], inside: float, outside: float, none: float) -> float:
    """Halved as often as it takes to know a thousandth."""
    if not excluded(outside):
        return none
    for _ in range(HALVINGS):
        middle = sqrt(inside * outside)
        if excluded(middle):
            outside = middle
        else:
            inside = middle
    return outside
