"""The judge that xds-server has, on one hour: with both guards, looked at after every tick."""

from typing import NamedTuple

from bench.judges.traffic import TICKS, TICKS_A_MINUTE, Hours, Side
from xds_server.rollout import Health, Verdict, hopeless, judged
from xds_server.stats import Counts, Evidence, Limits, Outset, Pairing, Tick, dispersion

ALPHA = 0.05
GUARDS = ("errors", "slow")
MAX_RATIO = 1.5


class Said(NamedTuple):
    """Minutes from the start of the hour; None: never."""

    worse: float | None
    safe: float | None


def judge(hours: Hours, hour: int) -> Said:
    """Rolled back at once when it is worse; safe is what it was first, whatever came later."""
    limits = [limits_of(history) for history in _counts(hours.before, hour)]
    canary, stable = _counts(hours.canary, hour), _counts(hours.stable, hour)
    evidence, outset = [Evidence()] * len(GUARDS), Outset()
    safe, pairings = None, [Pairing() for _ in GUARDS]
    for at in range(TICKS):
        ticks = [
            pairing.tick("edge", 60 * at / TICKS_A_MINUTE, Tick(mine[at], theirs[at]))
            for pairing, mine, theirs in zip(pairings, canary, stable, strict=True)
        ]
        for number, tick in enumerate(ticks):
            if tick is not None:
                evidence[number] = evidence[number].after(tick, limits[number])
        if ticks[0] is not None:
            outset = outset.after(ticks[0])
        verdict = _health(evidence, limits).verdict
        now = (at + 1) / TICKS_A_MINUTE
        if verdict is Verdict.WORSE or hopeless([(GUARDS[0], outset)]):
            return Said(now, safe)
        if verdict is Verdict.SAFE and safe is None:
            safe = now
    return Said(None, safe)


def limits_of(history: list[Counts]) -> Limits:
    return Limits(
        max_ratio=MAX_RATIO, dispersion=dispersion(history), worse=ALPHA / len(GUARDS), safe=ALPHA / len(GUARDS)
    )


def _health(evidence: list[Evidence], limits: list[Limits]) -> Health:
    said = zip(GUARDS, evidence, limits, strict=True)
    return Health(tuple(judged(guard, "default", found, held) for guard, found, held in said))


def _counts(side: Side, hour: int) -> tuple[list[Counts], list[Counts]]:
    """Of each guard, by tick."""
    requests, failed, slow = (each[hour].tolist() for each in side)
    return [*map(Counts, requests, failed)], [*map(Counts, requests, slow)]
