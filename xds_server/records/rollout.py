"""How a release moves by itself."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from xds_server.records.values import Duration, Flag, Model, Number, OneOf, Text, Weight, Word, means
from xds_server.records.windows import WINDOW, window


def _within(text: str) -> str:
    window(text)
    return text


Within = Annotated[
    Text,
    AfterValidator(_within),
    WithJsonSchema({"type": "string", "title": "time of the week", "pattern": f"^{WINDOW}$"}),
]


class Step(OneOf):
    """Go to a share (and stay for a time, or until it is judged safe), or wait for somebody's word."""

    ways: ClassVar = ("to", "gate")

    to: Annotated[Weight | None, means("The share of the default traffic to go to.", 5)] = None
    for_: Annotated[Duration | None, means("How long to stay there.", "20m")] = Field(default=None, alias="for")
    need: Annotated[Literal["safe"] | None, means("Stay until the guard says that it is safe.", "safe")] = None
    gate: Annotated[Text | None, means("Whose word to wait for.", "release manager")] = None

    @model_validator(mode="after")
    def _waits_for_a_word(self) -> Self:
        if self.gate is not None and (self.for_ is not None or self.need is not None):
            raise ValueError("a gate waits for a word: it has no `for` and no `need`")
        return self


class ErrorGuard(Model):
    """The canary's error rate may be this many times stable's; below `floor` percent nobody minds."""

    max_ratio: Annotated[Number, means("How many times stable's rate of errors is too much.", 1.5)] = Field(
        alias="maxRatio", gt=1
    )
    floor: Annotated[Number, means("The percentage of errors that is never too much.", 0.1)] = Field(
        default=0.1, gt=0, lt=100
    )
    limit: Annotated[
        Number, means("The percentage of errors that is too much for an audience with nothing to compare it with.", 5)
    ] = Field(default=5, gt=0, lt=100)


class SlowGuard(Model):
    """The share of requests slower than `over` may be this many times stable's."""

    over: Annotated[Duration, means("From which time on a request is slow.", "250ms")]
    max_ratio: Annotated[Number, means("How many times stable's share of slow requests is too much.", 1.3)] = Field(
        alias="maxRatio", gt=1
    )
    limit: Annotated[
        Number,
        means("The percentage of slow ones that is too much for an audience with nothing to compare it with.", 20),
    ] = Field(default=20, gt=0, lt=100)


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

    errors: Annotated[ErrorGuard | None, means("Judge by errors.", {"maxRatio": 1.5})] = None
    slow: Annotated[SlowGuard | None, means("Judge by slow requests.", {"over": "250ms", "maxRatio": 1.3})] = None
    on_worse: Annotated[OnWorse, means("What happens when the canary is worse.", "rollback")] = Field(
        default=OnWorse.ROLLBACK, alias="onWorse"
    )
    on_unknown: Annotated[OnUnknown, means("What happens when a step ends and nothing can be said yet.", "hold")] = (
        Field(default=OnUnknown.HOLD, alias="onUnknown")
    )

    @model_validator(mode="after")
    def _judges(self) -> Self:
        if self.errors is None and self.slow is None:
            raise ValueError("a guard judges by `errors`, by `slow`, or by both")
        return self


class Rollout(Model):
    """Steps from a small share to all of it, guarded."""

    deployment: Annotated[Word | None, means("Which deployment rises; absent: the last of `default`.", "shop-v2")] = (
        None
    )
    steps: Annotated[
        tuple[Step, ...],
        means(
            "What happens, in this order; each `to` is more than the one before.",
            [{"to": 5, "for": "20m"}, {"to": 100}],
        ),
    ] = Field(min_length=1)
    guard: Annotated[
        Guard | None, means("What the canary is judged by; absent: time alone.", {"errors": {"maxRatio": 1.5}})
    ] = None
    within: Annotated[
        Within | None,
        means(
            "When it may move on: days and times of the week in a time zone. It may go back at any time.",
            "Mon-Fri 09:00-17:00 Europe/Berlin",
        ),
    ] = None
    freeze: Annotated[Flag, means("Stay where it is.", True)] = False
    max_hold: Annotated[Duration | None, means("How long it may wait at one step.", "24h")] = Field(
        default=None, alias="maxHold"
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        shares = [step.to for step in self.steps if step.to is not None]
        if any(later <= earlier for earlier, later in pairwise(shares)):
            raise ValueError("steps must rise: each `to` greater than the one before")
        return self

    @model_validator(mode="after")
    def _is_judged(self) -> Self:
        """Where nobody judges, everything would be safe."""
        if self.guard is None and any(step.need is not None for step in self.steps):
            raise ValueError("a step with `need` waits for a verdict: it needs a `guard`")
        return self
