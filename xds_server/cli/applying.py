"""What `xdsctl apply` and `set` ask of a server, and how the answers are said."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from xds_server.api.steering import EventReport
from xds_server.api.writing_reports import AppliedReport, RecordReport, Refused
from xds_server.cli.servers import NoAnswer, asked, problem
from xds_server.cli.waiting import Awaited
from xds_server.difference.applying import Outcome
from xds_server.domain.problems import Problem

APPLIED = TypeAdapter(AppliedReport)
EVENT = TypeAdapter(EventReport)
WORDS = {Outcome.ADDED: "added to", Outcome.CHANGED: "changed in"}


def files_of(paths: Sequence[Path]) -> dict[str, str]:
    """By name. `NoAnswer`: one cannot be read."""
    return {str(path): _text(path) for path in paths}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeError:
        raise NoAnswer(f"{path} cannot be read: it is not UTF-8") from None
    except OSError as error:
        raise NoAnswer(f"{path} cannot be read: {error.strerror}") from None


def applied_at(server: str, said: Mapping[str, Any]) -> AppliedReport:
    return asked(server, "/records/apply", APPLIED, json.dumps(said).encode())


def shares_set(server: str, release: str, said: Mapping[str, Any]) -> EventReport:
    return asked(server, f"/releases/{quote(release)}/set", EVENT, json.dumps(said).encode())


def lines(report: AppliedReport, *, dry_run: bool) -> Iterator[str]:
    would = "would be " if dry_run else ""
    for each in report.records:
        known = each.outcome is Outcome.UNCHANGED
        yield f"{each.record}: {'unchanged' if known else f'{would}{WORDS[each.outcome]} {each.file}'}"


def awaited_of(report: AppliedReport) -> list[Awaited]:
    """The releases among the records, with what they say."""
    return [Awaited(_word(each), each.content, report.at) for each in report.records if each.content]


def _word(report: RecordReport) -> str:
    _, namespace, name = report.record.split("/")
    return name if namespace == "default" else f"{namespace}.{name}"


def problems_of(error: NoAnswer) -> list[Problem]:
    """Those because of which records were refused, if it was that."""
    try:
        return [problem(each) for each in Refused.model_validate_json(error.body).problems]
    except ValidationError:
        return []
