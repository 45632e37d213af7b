"""What `xdsctl apply`, `plan` and `set` ask of a server, and how the answers are said."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text

from xds_server.api.problems import problem_report
from xds_server.api.steering import EventReport
from xds_server.api.writing import AppliedReport, PlanReport, RecordReport, Refused, plan_report
from xds_server.cli.differences import print_problems, print_sections
from xds_server.cli.folders import read_folder
from xds_server.cli.servers import NoAnswer, asked, problem
from xds_server.cli.waiting import Awaited
from xds_server.difference import served
from xds_server.difference.applying import Faulty, Outcome, applied, homes, rewritten
from xds_server.difference.planning import planned
from xds_server.difference.steering import CannotSteer
from xds_server.domain.problems import Problem
from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable
from xds_server.runtime.control import clock

APPLIED = TypeAdapter(AppliedReport)
EVENT = TypeAdapter(EventReport)
PLAN = TypeAdapter(PlanReport)
WORDS = {Outcome.ADDED: "added to", Outcome.CHANGED: "changed in"}


def files_of(paths: Sequence[Path]) -> dict[str, str]:
    """By name. `NoAnswer`: one cannot be read."""
    try:
        return {str(path): path.read_text("utf-8") for path in paths}
    except (OSError, UnicodeError) as error:
        raise NoAnswer(f"a file cannot be read: {error}") from None


def applied_at(server: str, said: Mapping[str, Any]) -> AppliedReport:
    return asked(server, "/records/apply", APPLIED, json.dumps(said).encode())


def plan_of(paths: Sequence[Path], server: str) -> PlanReport:
    """By a server, or by the records of a folder, if that is the first of the paths. Raises `NoAnswer`."""
    if not paths[0].is_dir():
        said = {"files": files_of(paths)}
        return asked(server, "/records/plan", PLAN, json.dumps(said).encode())
    try:
        return _planned(paths[0], files_of(paths[1:]))
    except Faulty as error:
        refused = Refused(error=str(error), problems=tuple(map(problem_report, error.problems)))
        raise NoAnswer(str(error), refused.model_dump_json().encode()) from None
    except CannotSteer as error:
        raise NoAnswer(str(error)) from None


def _planned(folder: Path, files: Mapping[str, str]) -> PlanReport:
    """As a server that has just started with the folder would say."""
    now, said = clock(), read_folder(folder)
    before = admit(Admission(), said, now, folder=str(folder))
    records = applied(before, files)
    found = {home: said.files.get(home) for home in homes(records)}
    texts = {home: content.text if isinstance(content, Readable) else None for home, content in found.items()}
    batch = Batch({each.name: Readable(each.after) for each in rewritten(before, records, files, texts)})
    # Of two deployments that share a build the older counts.
    after = admit(before, batch, now + timedelta(seconds=1), folder=str(folder))
    running = served(before)
    return plan_report(planned(running, served(after, running), records))


def print_plan(report: PlanReport) -> None:
    console = Console(highlight=False)
    print_sections(console, report.sections)
    said = {"Held back": report.refused, "New warnings": report.warned, "Solved": report.solved}
    print_problems(console, {title: [*map(problem, found)] for title, found in said.items()})
    colour = "red" if report.refused else "yellow" if report.plan["changes"] else "green"
    console.print(Text(report.summary, colour), soft_wrap=True)


def shares_set(server: str, release: str, said: Mapping[str, Any]) -> EventReport:
    return asked(server, f"/releases/{quote(release)}/set", EVENT, json.dumps(said).encode())


def lines(report: AppliedReport, *, dry_run: bool) -> Iterator[str]:
    would = "would be " if dry_run else ""
    for each in report.records:
        known = each.outcome is Outcome.UNCHANGED
        yield f"{each.record}: {'unchanged' if known else f'{would}{WORDS[each.outcome]} {each.file}'}"


def awaited_of(report: AppliedReport) -> list[Awaited]:
    """The releases among the records, with what they say."""
    return [Awaited(_word(each), each.content) for each in report.records if each.content]


def _word(report: RecordReport) -> str:
    _, namespace, name = report.record.split("/")
    return name if namespace == "default" else f"{namespace}.{name}"


def problems_of(error: NoAnswer) -> list[Problem]:
    """Those because of which records were refused, if it was that."""
    try:
        return [problem(each) for each in Refused.model_validate_json(error.body).problems]
    except ValidationError:
        return []
