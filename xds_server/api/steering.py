"""A person's word about a release: take it back and pin it, unpin it; and who did what to it, when and why."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from xds_server.api.errors import NOT_NOW, UNKNOWN, Wrong, wrong
from xds_server.api.release_reports import Said
from xds_server.difference.history import Event, Kind, Word, in_percent
from xds_server.difference.steering import CannotSteer, NoSuchRelease
from xds_server.domain.names import Ref, ref

Name = Annotated[str, Path(description="NAME, or NAMESPACE.NAME.")]
OnlySay = Annotated[bool, Query(alias="onlySay", description="Say what it would do, and do nothing.")]
CONFLICT = 409
REFUSED = UNKNOWN | NOT_NOW | {CONFLICT: {"model": Wrong, "description": "It is not done, and why."}}


class Asked(BaseModel):
    """Whose word it is, and why they say it: both are kept in the history."""

    model_config = ConfigDict(extra="forbid")

    who: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=1000)

    @property
    def word(self) -> Word:
        return Word(self.who, self.why)


class Rollback(Asked):
    """`to`: the deployment that users shall have; absent: what they had before the default last changed."""

    to: str | None = None


class EventReport(Said):
    """What was done to a release, or would be. `before` and `after`: what its default gave and gives, in percent."""

    release: str
    at: datetime
    who: str
    why: str
    what: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    kind: Kind = Field(
        default=Kind.CHANGED, description="What kind of thing was done. Stable: scripts may match on it."
    )
    numbers: Mapping[str, float] = Field(default_factory=dict, description="By which it was decided, by name.")
    content: str = Field(default="", description="What is in force of the release by that, to wait for.")


class Steering(Protocol):
    """The releases of a running server. What cannot be done is a `CannotSteer`."""

    def rollback(self, release: Ref, to: Ref | None, word: Word) -> Event: ...

    def unpin(self, release: Ref, word: Word, *, only_say: bool = False) -> Event: ...

    def history(self, release: Ref) -> list[Event]: ...

    def content(self, release: Ref) -> str: ...


def event_report(event: Event, content: str = "") -> EventReport:
    return EventReport(
        release=event.release.word,
        at=event.at,
        who=event.word.who,
        why=event.word.why,
        what=event.what,
        before=in_percent(event.before),
        after=in_percent(event.after),
        kind=event.kind,
        numbers=dict(event.numbers),
        content=content,
    )


def steering_api(releases: Steering) -> APIRouter:
    api = APIRouter(tags=["releases"])

    @api.post("/releases/{name}/rollback", summary="Take a release back, and pin it", responses=REFUSED)
    async def rollback(name: Name, asked: Rollback) -> EventReport:
        """One push. Nothing moves its default again until it is unpinned: no record, no rollout, no restart."""
        release = ref(name)
        to = None if asked.to is None else ref(asked.to, release.namespace)
        try:
            event = releases.rollback(release, to, asked.word)
        except CannotSteer as error:
            raise refused(error) from error
        content = releases.content(release)
        await asyncio.sleep(0)  # proxies are told before the answer is made
        return event_report(event, content)

    @api.post("/releases/{name}/unpin", summary="Let a release follow its record again", responses=REFUSED)
    async def unpin(name: Name, asked: Asked, only_say: OnlySay = False) -> EventReport:
        try:
            return event_report(releases.unpin(ref(name), asked.word, only_say=only_say))
        except CannotSteer as error:
            raise refused(error) from error

    @api.get("/releases/{name}/history", summary="Who changed what a release gives, when and why", responses=UNKNOWN)
    async def history(name: Name) -> list[EventReport]:
        """Newest first. Of one that is gone, too."""
        found = releases.history(ref(name))
        if not (found or releases.content(ref(name))):
            raise wrong(404, f"there is no release {name!r}, nor was there: xdsctl get lists those in force")
        return [event_report(each) for each in found]

    return api


def refused(error: CannotSteer) -> Exception:
    return wrong(404 if isinstance(error, NoSuchRelease) else CONFLICT, str(error))
