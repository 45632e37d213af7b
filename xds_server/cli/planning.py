"""`xdsctl plan`: what applying files would do, asked of a server or found out by a folder of records."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console
from rich.text import Text

from xds_server.api.problems import problem_report
from xds_server.api.writing import plan_report
from xds_server.api.writing_reports import PlanReport, Refused
from xds_server.cli.applying import files_of
from xds_server.cli.differences import print_problems, print_sections
from xds_server.cli.folders import read_folder
from xds_server.cli.servers import NoAnswer, asked, problem
from xds_server.difference.applying import Faulty, applied, homes, rewritten
from xds_server.difference.comparison import served
from xds_server.difference.planning import planned
from xds_server.difference.steering import CannotSteer
from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable
from xds_server.runtime.clock import clock

PLAN = TypeAdapter(PlanReport)


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
