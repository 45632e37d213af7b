"""What is wrong in a running server, by whoever finds it: each problem is logged when it comes and when it goes."""

from collections.abc import Callable, Iterable, Set
from typing import Protocol

import structlog

from xds_server.domain.problems import Problem, Severity
from xds_server.records.admitted import Admission

log = structlog.get_logger()

Later = Callable[[Callable[[], None]], object]


def at_once(act: Callable[[], None]) -> None:
    act()


class Reporter(Protocol):
    """Whoever finds something wrong that no record says."""

    def problems(self, admission: Admission) -> Iterable[Problem]: ...


class Reporting:
    """`admission` is what is in force; `reported` is told everything that is wrong, whenever it is something else.

    Belongs to one event loop.
    """

    def __init__(self, admission: Callable[[], Admission], reported: Callable[[Set[Problem]], None]) -> None:
        self._admission = admission
        self._reported = reported
        self._told = Admission()
        self._found: frozenset[Problem] = frozenset()
        self._all: Set[Problem] = frozenset()
        self._reporters: tuple[Reporter, ...] = ()
        self._followed: Callable[[Set[Problem], Set[Problem]], None] = lambda _before, _after: None
        self._later: Later = at_once
        self._is_due = False

    def report_later(self, later: Later) -> None:
        """Problems are in no hurry, and may be many: `later` is given what tells of them, once proxies are told."""
        self._later = later

    def report_of(self, reporter: Reporter) -> None:
        """What this one says is wrong is a problem, too."""
        self._reporters = (*self._reporters, reporter)

    def follow(self, hear: Callable[[Set[Problem], Set[Problem]], None]) -> None:
        """`hear` is told what was wrong before and is now: at once, and with every change."""
        self._followed = hear
        hear(frozenset(), self._all)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong, by place: with records, extensions, and what proxies refuse."""
        return tuple(sorted(self._admission().findings | self._found))

    def report_soon(self) -> None:
        """Something else may be wrong."""
        if not self._is_due:
            self._is_due = True
            self._later(self._report)

    def _report(self) -> None:
        self._is_due = False
        admission = self._admission()
        found = frozenset(problem for each in self._reporters for problem in each.problems(admission))
        if admission.has_problems_of(self._told) and found == self._found:
            return
        before, after = self._all, admission.findings | found
        for problem in sorted(after - before):
            tell = log.warning if problem.severity is Severity.ERROR else log.info
            tell("problem", reason=problem.reason.value, record=problem.record, problem=str(problem))
        for problem in sorted(before - after):
            log.info("problem gone", reason=problem.reason.value, record=problem.record, where=str(problem.where))
        self._told, self._found, self._all = admission, found, after
        self._reported(after)
        self._followed(before, after)
