"""`GET /problems`: everything that is wrong now, as data."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pydantic import BaseModel, Field

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.records.world import World


def by_their_records(_release: Ref) -> Mapping[str, str]:
    return {}


class Standing(NamedTuple):
    """What is in force, and everything that is wrong. `whence`: why rules of a release give what they give, by name."""

    world: World = World()
    problems: tuple[Problem, ...] = ()
    whence: Callable[[Ref], Mapping[str, str]] = by_their_records


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
