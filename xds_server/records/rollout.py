"""How a release moves by itself. Validated now; it is in force from the version that judges releases."""

from enum import StrEnum
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from xds_server.records.matches import exactly_one
from xds_server.records.values import Duration, Flag, Model, Number, Text, Weight, Word


class Step(Model):
    """Go to a share (and stay for a time, or until it is judged safe), or wait for somebody's word."""

    to: Weight | None = None
    for_: Duration | None = Field(default=None, alias="for")
    need: Literal["safe"] | None = None
    gate: Text | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, "to", "gate")
        if self.gate is not None and (self.for_ is not None or self.need is not None):
            raise ValueError("a gate waits for a word: it has no `for` and no `need`")
        return self


class ErrorGuard(Model):
    """The canary's error rate may be this many times stable's; below `floor` percent nobody minds."""

    max_ratio: Number = Field(alias="maxRatio", gt=1)
    floor: Number = Field(default=0.1, gt=0, lt=100)


class SlowGuard(Model):
    """The share of requests slower than `over` may be this many times stable's."""

    over: Duration
    max_ratio: Number = Field(alias="maxRatio", gt=1)


class OnWorse(StrEnum):
    """What happens when the canary is worse."""

    ROLLBACK = "rollback"
    HOLD = "hold"


class OnUnknown(StrEnum):
    """What happens when nothing can be said."""

    HOLD = "hold"
    ADVANCE = "advance"


class Guard(Model):
    """What the canary is judged by."""

    errors: ErrorGuard | None = None
    slow: SlowGuard | None = None
    on_worse: OnWorse = Field(default=OnWorse.ROLLBACK, alias="onWorse")
    on_unknown: OnUnknown = Field(default=OnUnknown.HOLD, alias="onUnknown")


class Rollout(Model):
    """Steps from a small share to all of it, guarded."""

    deployment: Word | None = None
    steps: tuple[Step, ...] = Field(min_length=1)
    guard: Guard | None = None
    within: Text | None = None
    freeze: Flag = False
    max_hold: Duration | None = Field(default=None, alias="maxHold")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        shares = [step.to for step in self.steps if step.to is not None]
        if any(later <= earlier for earlier, later in pairwise(shares)):
            raise ValueError("steps must rise: each `to` greater than the one before")
        return self
