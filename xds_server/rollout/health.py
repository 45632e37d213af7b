"""How well a canary does: what every guard says of every cohort, in words and numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import exp

from xds_server.stats import Evidence, Lately, Limits, Outset

QUIET = Lately()


class Verdict(StrEnum):
    """`UNKNOWN`: nothing can be said yet; more requests are needed."""

    WORSE = "worse"
    SAFE = "safe"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one guard says of one cohort. `missing`: about how many requests it needs before it may say more."""

    guard: str
    cohort: str
    verdict: Verdict
    because: str
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """Of the users who get a canary by weight. `hopeless`: why nobody waits for evidence, where that is so."""

    judgements: tuple[Judgement, ...] = ()
    hopeless: str = ""

    @property
    def verdict(self) -> Verdict:
        """Worse if one guard says so; safe if all do; without a guard nobody can object."""
        said = {each.verdict for each in self.judgements}
        if Verdict.WORSE in said:
            return Verdict.WORSE
        return Verdict.UNKNOWN if Verdict.UNKNOWN in said else Verdict.SAFE

    @property
    def worse(self) -> str:
        """What those say who say that it is worse."""
        return self.because if self.verdict is Verdict.WORSE else ""

    @property
    def because(self) -> str:
        """What those say who decide the verdict."""
        return "; ".join(each.because for each in self.judgements if each.verdict is self.verdict)


def judged(guard: str, cohort: str, evidence: Evidence, limits: Limits, lately: Lately = QUIET) -> Judgement:
    """A canary that is a little worse, and within what the record allows, is safe.

    Not while both fail: then nobody knows whether it is the canary that does it to both.
    """
    counted, safe = f"{_counted(guard, evidence)}; ", evidence.is_safe(limits)
    if evidence.is_worse(limits) and not safe:
        because = f"{counted}e-value {_value(evidence.worse_value)}, limit {1 / limits.worse:.3g}"
        return Judgement(guard, cohort, Verdict.WORSE, because)
    if lately.outage:
        because = f"{counted}but now {lately.outage:.0%} of all requests fail, at both"
        return Judgement(guard, cohort, Verdict.UNKNOWN, because)
    if safe:
        because = f"{counted}e-value {_value(evidence.safe_value)}, needed {1 / limits.safe:.3g}"
        return Judgement(guard, cohort, Verdict.SAFE, because)
    missing = evidence.missing(limits)
    because = f"{counted}about {missing:,} more requests of the canary are needed"
    return Judgement(guard, cohort, Verdict.UNKNOWN, because, missing)


def hopeless(outsets: Iterable[tuple[str, Outset]]) -> str:
    """Why, if one guard says so."""
    for guard, found in outsets:
        if found.hopeless:
            return f"{guard}: {found.canary.words} of the canary's first requests, {found.stable.words} at stable"
    return ""


def _counted(guard: str, evidence: Evidence) -> str:
    return f"{guard}: {evidence.canary.words} at the canary, {evidence.stable.words} at stable"


def _value(logarithm: float) -> str:
    return f"{exp(logarithm):.3g}" if logarithm < 30 else f"e^{logarithm:.0f}"
