"""Rollouts: how each stands, and a person's word about it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from fastapi import APIRouter
from pydantic import AwareDatetime, Field, field_validator

from xds_server.api.errors import UNKNOWN
from xds_server.api.release_reports import Said
from xds_server.api.steering import REFUSED, Asked, EventReport, Name, event_report, refused
from xds_server.difference.history import Event, Word
from xds_server.difference.statuses import RolloutSaid
from xds_server.difference.steering import CannotSteer
from xds_server.domain.names import Ref, ref


class VerdictReport(Said):
    """What one guard says of one cohort of users."""

    cohort: str
    guard: str
    verdict: str = Field(description="worse, safe or unknown.")
    because: str
    missing: int = Field(description="About how many more requests of the canary it needs before it may say more.")


class RolloutReport(Said):
    """How a rollout stands. Steps are counted from 1; 0: before the first. Shares: in percent."""

    release: str
    deployment: str = Field(description="Which one rises.")
    step: int
    steps: tuple[str, ...] = Field(description="What each step does, in words.")
    share: float = Field(description="What the canary has of the default now.")
    stayed: float = Field(description="Seconds for which it was watched at this step.")
    ended: str | None = Field(description="finished, rolled back or stopped; null: it goes on.")
    held: str | None = Field(description="What it waits for, though it could go on: gate, evidence, window, ...")
    because: str = Field(description="Why it is where it is.")
    until: datetime | None = Field(description="When it is decided again, if nothing happens before.")
    verdicts: tuple[VerdictReport, ...]

    @property
    def said(self) -> RolloutSaid:
        where = f"step {self.step} of {len(self.steps)}: " if self.step else ""
        return RolloutSaid(self.held is not None, f"{where}{self.because}", self.ended is not None)


class FreezeReport(Said):
    """Every rollout stays where it is, but for rolling back. Nulls: none is kept."""

    until: datetime | None
    why: str | None


class Promotion(Asked):
    """`fromStep`: the step that it is at, so that nobody promotes what has moved meanwhile."""

    from_step: int = Field(alias="fromStep", ge=0)


class Approval(Asked):
    """`gate`: what the step calls whose word it waits for."""

    gate: str


class Freeze(Asked):
    """Until when."""

    until: AwareDatetime

    @field_validator("until")
    @classmethod
    def _in_utc(cls, until: datetime) -> datetime:
        try:
            return until.astimezone(UTC)
        except OverflowError:
            raise ValueError("no calendar has this instant in UTC") from None


class Rolling(Protocol):
    """The rollouts of a running server. What cannot be done is a `CannotSteer`."""

    def report(self, release: Ref) -> RolloutReport | None: ...

    def promote(self, release: Ref, from_step: int, word: Word) -> Event: ...

    def pause(self, release: Ref, word: Word) -> Event: ...

    def resume(self, release: Ref, word: Word) -> Event: ...

    def approve(self, release: Ref, gate: str, word: Word) -> Event: ...

    def freeze(self, until: datetime, word: Word) -> None: ...

    def unfreeze(self, word: Word) -> None: ...

    def frozen(self) -> FreezeReport: ...


def rollouts_api(rollouts: Rolling) -> APIRouter:
    api = APIRouter(tags=["rollouts"])
    api.include_router(_words_api(rollouts))
    api.include_router(_freeze_api(rollouts))

    @api.get("/releases/{name}/rollout", summary="How a release moves by itself", responses=UNKNOWN)
    async def rollout(name: Name) -> RolloutReport | None:
        """Null: its record has no rollout."""
        try:
            return rollouts.report(ref(name))
        except CannotSteer as error:
            raise refused(error) from error

    return api


def _words_api(rollouts: Rolling) -> APIRouter:
    api = APIRouter()

    @api.post("/releases/{name}/promote", summary="Go to the next step now", responses=REFUSED)
    async def promote(name: Name, asked: Promotion) -> EventReport:
        """Whatever it waits for. One that was rolled back begins again. Refused if it is at another step by now."""
        return _done(lambda: rollouts.promote(ref(name), asked.from_step, asked.word))

    @api.post("/releases/{name}/pause", summary="Stay at this step", responses=REFUSED)
    async def pause(name: Name, asked: Asked) -> EventReport:
        """It is judged on, and rolled back if it is worse."""
        return _done(lambda: rollouts.pause(ref(name), asked.word))

    @api.post("/releases/{name}/resume", summary="Go on after a pause", responses=REFUSED)
    async def resume(name: Name, asked: Asked) -> EventReport:
        return _done(lambda: rollouts.resume(ref(name), asked.word))

    @api.post("/releases/{name}/approve", summary="Open the gate that a rollout waits at", responses=REFUSED)
    async def approve(name: Name, asked: Approval) -> EventReport:
        return _done(lambda: rollouts.approve(ref(name), asked.gate, asked.word))

    return api


def _freeze_api(rollouts: Rolling) -> APIRouter:
    api = APIRouter()

    @api.get("/freeze", summary="What keeps every rollout where it is")
    async def frozen() -> FreezeReport:
        return rollouts.frozen()

    @api.post("/freeze", summary="Keep every rollout where it is until then", responses=REFUSED)
    async def freeze(asked: Freeze) -> FreezeReport:
        """What is worse is rolled back all the same."""
        try:
            rollouts.freeze(asked.until, asked.word)
        except CannotSteer as error:
            raise refused(error) from error
        return rollouts.frozen()

    @api.post("/unfreeze", summary="Let rollouts move again", responses=REFUSED)
    async def unfreeze(asked: Asked) -> FreezeReport:
        try:
            rollouts.unfreeze(asked.word)
        except CannotSteer as error:
            raise refused(error) from error
        return rollouts.frozen()

    return api


def _done(act: Callable[[], Event]) -> EventReport:
    try:
        return event_report(act())
    except CannotSteer as error:
        raise refused(error) from error
