"""What a rollout does next, and why. Pure: who asks holds the clock, and acts.

What is worse is taken back at any time: no pause, freeze or window keeps it. Everything else waits, in this order, for

    a word       it is paused, or its step is a gate that nobody has approved
    time         the step's `for`, as long as somebody watched
    evidence     the step needs it to be safe, or its guard cannot say yet and `onUnknown` holds; never where the
                 canary has everything: nothing more comes of what is compared with it
    leave        nothing is frozen, and the window is open

Who waits for a gate, for evidence or to be live longer than `maxHold` is taken back; while it is paused or frozen that
time stands still.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from xds_server.records.progress import Progress
from xds_server.records.rollout import OnWorse, Step
from xds_server.rollout.health import Health, Verdict
from xds_server.rollout.plan import Plan

SOON = timedelta(seconds=30)
"""Whatever is not live by then is waited for, and said to be."""


class Held(StrEnum):
    """What a rollout waits for that could go on otherwise."""

    WORSE = "worse"
    PAUSED = "paused"
    GATE = "gate"
    EVIDENCE = "evidence"
    FROZEN = "frozen"
    WINDOW = "window"
    LIVE = "live"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Wait:
    """`until`: when to ask again, if nothing happens before; None: nothing but an event can change it.

    `held`: by what, where it could go on, were it not for what `because` says.
    """

    because: str
    until: datetime | None = None
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Go to this step."""

    step: int
    because: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The last step is over: what it gives is what the record shall say."""

    because: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Give the canary nothing, and let nothing move the release until somebody says so."""

    because: str


Decision = Wait | MoveTo | Finish | RollBack


@dataclass(frozen=True, slots=True)
class Frozen:
    """Somebody has told every rollout to stay where it is."""

    until: datetime
    why: str


def decide(plan: Plan, progress: Progress, health: Health, now: datetime, frozen: Frozen | None = None) -> Decision:
    if progress.ended is not None:
        return Wait(f"{progress.ended}: {progress.because}")
    bad = _worse(plan, health)
    if bad is not None:
        return bad
    waits = _awaited(plan, progress, health, now) or _leave(plan, now, frozen)
    if waits is not None:
        return waits
    because, following = _over(plan, progress, health), plan.after(progress.step)
    return Finish(because) if following is None else MoveTo(following, because)


def _worse(plan: Plan, health: Health) -> Decision | None:
    if plan.guard is None:
        return None
    because = health.hopeless or health.worse
    if not because:
        return None
    return RollBack(because) if plan.guard.on_worse is OnWorse.ROLLBACK else Wait(f"worse: {because}", held=Held.WORSE)


def _awaited(plan: Plan, progress: Progress, health: Health, now: datetime) -> Decision | None:
    if progress.paused:
        return Wait(f"paused: {progress.paused}", held=Held.PAUSED)
    if progress.step < 0:
        return None
    if not progress.stayed:
        return _dark(plan, progress, now)
    step = plan.steps[progress.step]
    left = (step.for_ or timedelta()) - progress.stayed
    if left > timedelta():
        return Wait(f"{_where(plan, progress)} for {_words(left)} more", now + left)
    missing = _missing(plan, progress, step, health)
    if not missing:
        return None
    return _held(plan, progress, missing, now, Held.EVIDENCE if step.gate is None else Held.GATE)


def _dark(plan: Plan, progress: Progress, now: datetime) -> Decision:
    because = f"{_percent(plan.share(progress.step))} is not live at every proxy yet"
    return Wait(because) if progress.dark < SOON else _held(plan, progress, because, now, Held.LIVE)


def _missing(plan: Plan, progress: Progress, step: Step, health: Health) -> str:
    """What nobody has said yet."""
    if step.gate is not None:
        return "" if progress.step in progress.approved else f"waits for the word of {step.gate}"
    if health.verdict is Verdict.SAFE or not plan.needs_safe(progress.step):
        return ""
    return f"not known to be safe: {health.because}"


def _held(plan: Plan, progress: Progress, missing: str, now: datetime, held: Held) -> Decision:
    if plan.max_hold is None:
        return Wait(missing, held=held)
    left = plan.max_hold - progress.waited
    if left <= timedelta():
        return RollBack(f"held for {_words(plan.max_hold)}, which is maxHold: {missing}")
    return Wait(missing, now + left, held=held)


def _leave(plan: Plan, now: datetime, frozen: Frozen | None) -> Decision | None:
    if plan.freeze:
        return Wait("frozen by its record", held=Held.FROZEN)
    if frozen is not None and now < frozen.until:
        return Wait(f"frozen until {frozen.until:%Y-%m-%dT%H:%M:%SZ}: {frozen.why}", frozen.until, held=Held.FROZEN)
    if plan.within is None or plan.within.is_open(now):
        return None
    opens = plan.within.opens(now)
    return Wait(f"outside its window, which opens at {opens:%Y-%m-%dT%H:%M:%SZ}", opens, held=Held.WINDOW)


def _over(plan: Plan, progress: Progress, health: Health) -> str:
    if progress.step < 0:
        return "it begins"
    step = plan.steps[progress.step]
    if step.gate is not None:
        return f"{step.gate} has approved"
    stayed = f"stayed {_words(progress.stayed)} at {_percent(plan.share(progress.step))}"
    if not health.judgements:
        return stayed
    if health.verdict is not Verdict.SAFE and plan.is_whole(progress.step):
        return f"{stayed}, where nothing is left to compare it with"
    return f"{stayed}; {health.verdict}: {health.because}"


def _where(plan: Plan, progress: Progress) -> str:
    return f"stays at {_percent(plan.share(progress.step))}"


def _percent(share: int | None) -> str:
    return "the record's weights" if share is None else f"{share / 100:.9g} %"


def _words(time: timedelta) -> str:
    """`1h20m`, to the second, as a record would say it."""
    seconds = max(1, round(time.total_seconds()))
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number)
