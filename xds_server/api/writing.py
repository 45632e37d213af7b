"""Records are written by commands: applied from files, and the shares of a release set."""

from collections.abc import Mapping
from typing import Any, Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from xds_server.api.difference_data import plan_data
from xds_server.api.errors import NOT_NOW, UNKNOWN, Wrong
from xds_server.api.problems import problem_report
from xds_server.api.steering import CONFLICT, EventReport, Name, event_report
from xds_server.api.writing_reports import (
    AppliedReport,
    Files,
    PlanReport,
    Proposal,
    RecordReport,
    Refused,
    Shares,
)
from xds_server.difference.applying import Application, Applied, Faulty, Outcome
from xds_server.difference.history import Event, Word
from xds_server.difference.planning import Planned, plan_sections, plan_summary
from xds_server.difference.steering import CannotSteer, NoSuchRelease
from xds_server.domain.names import Ref, ref

FAULTY = 400


def plan_report(plan: Planned) -> PlanReport:
    found = plan.difference
    return PlanReport(
        plan=plan_data(plan),
        sections={title: tuple(lines) for title, lines in plan_sections(plan).items()},
        refused=tuple(map(problem_report, found.refused)),
        warned=tuple(map(problem_report, found.warned)),
        solved=tuple(map(problem_report, found.solved)),
        summary=plan_summary(plan),
    )


class Writing(Protocol):
    """The records of a running server. What is not done is a `CannotSteer`."""

    async def plan(self, files: Mapping[str, str]) -> Planned: ...

    async def apply(
        self, files: Mapping[str, str], word: Word, expected: Mapping[Ref, str], *, dry_run: bool
    ) -> Application: ...

    async def set(
        self, release: Ref, shares: Mapping[Ref, int], word: Word, expected: str, *, stop_rollout: bool
    ) -> Event: ...

    def content(self, release: Ref) -> str:
        """What the folder states of a release."""


NOT_WRITTEN: dict[int | str, dict[str, Any]] = {
    FAULTY: {"model": Refused, "description": "A record is wrong, or would be, or the question is."},
    CONFLICT: {"model": Wrong, "description": "It is not done, and why: a file was changed meanwhile, say."},
}
ANSWERS = NOT_WRITTEN | NOT_NOW


def writing_api(records: Writing) -> APIRouter:
    api = APIRouter(tags=["records"])

    @api.post(
        "/records/apply",
        summary="Write records into the folder",
        responses=ANSWERS,
        response_model=AppliedReport,
    )
    async def apply(asked: Files) -> AppliedReport | JSONResponse:
        """All of them, or none: each is checked first against what is in force. What is answered is in force."""
        expected = {ref(word): content for word, content in asked.expect.items()}
        try:
            found = await records.apply(asked.files, asked.word, expected, dry_run=asked.dry_run)
        except CannotSteer as error:
            return refused(error)
        changed = any(each.outcome is not Outcome.UNCHANGED for each in found.records)
        return AppliedReport(
            written=changed and not asked.dry_run,
            at=found.at,
            records=tuple(map(record_report, found.records)),
            problems=tuple(map(problem_report, found.problems)),
        )

    @api.post(
        "/records/plan", summary="Say what applying records would do", responses=NOT_WRITTEN, response_model=PlanReport
    )
    async def plan(asked: Proposal) -> PlanReport | JSONResponse:
        """Compared with what is in force now. Nothing is written."""
        try:
            return plan_report(await records.plan(asked.files))
        except CannotSteer as error:
            return refused(error)

    @api.post(
        "/releases/{name}/set",
        summary="Set shares of a release's default",
        responses=UNKNOWN | ANSWERS,
        response_model=EventReport,
    )
    async def set_shares(name: Name, asked: Shares) -> EventReport | JSONResponse:
        """Its record is written, and nothing else in its file."""
        release = ref(name)
        shares = {ref(word, release.namespace): share for word, share in asked.shares.items()}
        try:
            event = await records.set(release, shares, asked.word, asked.expect or "", stop_rollout=asked.stop_rollout)
        except CannotSteer as error:
            return refused(error)
        return event_report(event, records.content(release))

    return api


def record_report(applied: Applied) -> RecordReport:
    return RecordReport(record=str(applied.key), outcome=applied.outcome, file=applied.home, content=applied.content)


def refused(error: CannotSteer) -> JSONResponse:
    if isinstance(error, Faulty):
        said = Refused(error=str(error), problems=tuple(map(problem_report, error.problems)))
        return JSONResponse(said.model_dump(mode="json"), FAULTY)
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, NoSuchRelease) else CONFLICT)
