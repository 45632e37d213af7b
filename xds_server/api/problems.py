"""`GET /problems`: everything that is wrong now, as data."""

from typing import NamedTuple

from pydantic import BaseModel, Field

from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.records.world import World


class Standing(NamedTuple):
    """What is in force, and everything that is wrong."""

    world: World = World()
    problems: tuple[Problem, ...] = ()


class ProblemReport(BaseModel):
    """One problem. `document` and `line` count from 1; 0: the whole file. `record` is `Kind/namespace/name`."""

    file: str
    document: int
    line: int
    path: str = Field(description="The field, such as spec.default.0.weight.")
    record: str
    severity: Severity = Field(description="An error keeps something from being in force; a warning does not.")
    reason: Reason = Field(description="What kind of fault it is. Stable: alerts may match on it.")
    what: str
    fix: str


def problem_report(problem: Problem) -> ProblemReport:
    where = problem.where
    return ProblemReport(
        file=where.file,
        document=where.document,
        line=where.line,
        path=where.path,
        record=problem.record,
        severity=problem.severity,
        reason=problem.reason,
        what=problem.what,
        fix=problem.fix,
    )
