"""`xdsctl wait`: ask a server again and again, also one that restarts, until there is a verdict or the time is over."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter

from xds_server.api.release_reports import Answer, Verdict
from xds_server.cli.servers import Unreachable, asked
from xds_server.domain.problems import Problem, Severity
from xds_server.ledger.content import document_content, short
from xds_server.records.documents import read_documents
from xds_server.records.yaml import YamlFault

ANSWER = TypeAdapter(Answer)
ROUND = 1.0
"""Seconds in which everything that is waited for is asked once: so often is progress told."""
SHORTEST = 0.05
MARGIN = 10.0
"""Seconds that a server may take for its answer beyond those that it was given."""
AGAIN = 0.2
"""Seconds before a server that does not answer is asked again."""
GRACE = 2.0
"""Seconds that a server has to read a file again that says what was in force before."""


class Code(IntEnum):
    """What `xdsctl wait` ends with, the first of what came of several that is not live."""

    LIVE = 0
    NO_SERVER = 1
    SUPERSEDED = 3
    REFUSED = 4
    TIMEOUT = 5
    NO_PROXIES = 6


CODES = {
    Verdict.REFUSED: Code.REFUSED,
    Verdict.SUPERSEDED: Code.SUPERSEDED,
    Verdict.PENDING: Code.TIMEOUT,
    Verdict.NO_PROXIES: Code.NO_PROXIES,
    Verdict.LIVE: Code.LIVE,
}
"""The worst first."""
ENDS = (Verdict.REFUSED, Verdict.SUPERSEDED)


class NotReleases(Exception):
    """A file says no release that could be waited for, and why. `problems`: because of these."""

    def __init__(self, why: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(why)
        self.problems = problems


@dataclass(slots=True)
class Awaited:
    """What is waited for: a release, a content, or both. `since`: when its file was written."""

    release: str = ""
    content: str = ""
    since: datetime | None = None
    entry: int = 0
    answer: Answer | None = None
    began: float = field(default_factory=time.monotonic)

    def path(self, seconds: float) -> str:
        said = {"content": self.content, "timeout": f"{seconds:.3f}", "entry": self.entry}
        if not self.release:
            return f"/wait?{urlencode(said)}"
        since = {"since": self.since.isoformat()} if self.since else {}
        return f"/releases/{quote(self.release)}/wait?{urlencode({**said, **since})}"

    def take(self, answer: Answer) -> None:
        """Of what was found in force it is waited for that very entry, whatever comes after it."""
        self.answer = answer
        if answer.entry is not None and not self._has_gone_before:
            self.entry, self.content = answer.entry.number, answer.content

    @property
    def _has_gone_before(self) -> bool:
        """Its content was replaced before the server was asked. The file may have been written again just now."""
        superseded = self.answer is not None and self.answer.verdict is Verdict.SUPERSEDED
        return superseded and self.since is not None and not self.entry

    @property
    def is_over(self) -> bool:
        """It cannot become live any more."""
        if self._has_gone_before and time.monotonic() < self.began + GRACE:
            return False
        return self.answer is not None and self.answer.verdict in ENDS


def awaited_in(file: Path) -> list[Awaited]:
    """The releases that a file states. Raises `NotReleases`."""
    try:
        documents = read_documents(str(file), file.read_text("utf-8"))
    except UnicodeError:
        raise NotReleases(f"{file} cannot be read: it is not UTF-8") from None
    except (OSError, YamlFault) as error:
        why = getattr(error, "what", None) or getattr(error, "strerror", None) or str(error)
        raise NotReleases(f"{file} cannot be read: {why}") from None
    releases = [each for each in documents if each.key is not None and each.key.kind == "Release"]
    broken = [each for each in documents if each.key is None or each.key.kind == "Release"]
    errors = [problem for each in broken for problem in each.problems if problem.severity is Severity.ERROR]
    if errors:
        raise NotReleases(f"{file} has releases that cannot come into force", errors)
    if not releases:
        raise NotReleases(f"{file} has no Release; name a file that has one, or a release")
    since = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return [Awaited(each.key.ref.word, document_content(each) or "", since) for each in releases if each.key]


def waited(server: str, all_of: Sequence[Awaited], seconds: float, tell: Callable[[str], None]) -> None:
    """Wait for all of them, or for the first that cannot become live. `tell` hears of progress.

    Raises `Unreachable` if the server does not answer until the time is over, `NoAnswer` if it answers something else.
    """
    deadline = time.monotonic() + seconds
    while pending := [each for each in all_of if each.answer is None or each.answer.verdict is not Verdict.LIVE]:
        share = max(SHORTEST, ROUND / len(pending))
        for each in pending:
            left = max(0.0, deadline - time.monotonic())
            # The first answer is wanted at once: it may say that there is no such thing.
            _ask(server, each, min(share, left) if each.answer else 0.0, deadline, tell)
            if each.is_over:
                return
        if time.monotonic() >= deadline:
            return
        if any(each.answer is not None and each.answer.verdict in ENDS for each in pending):
            time.sleep(AGAIN)


def _ask(server: str, each: Awaited, seconds: float, deadline: float, tell: Callable[[str], None]) -> None:
    """One question, repeated while nobody answers: a server may be restarting."""
    before, told = each.answer.why if each.answer else "", False
    while True:
        try:
            each.take(asked(server, each.path(seconds), ANSWER, patience=seconds + MARGIN))
            break
        except Unreachable as error:
            if time.monotonic() + AGAIN >= deadline:
                raise
            if not told:
                tell(f"{error}; it is asked again")
            told = True
            time.sleep(AGAIN)
    if each.answer is not None and each.answer.why != before:
        who = " ".join(filter(None, (each.answer.release, short(each.answer.content))))
        tell(f"{who}: {each.answer.why}")


def answers(all_of: Sequence[Awaited]) -> Iterator[Answer]:
    return (each.answer for each in all_of if each.answer is not None)


def code(all_of: Sequence[Awaited]) -> Code:
    found = {answer.verdict for answer in answers(all_of)}
    return next(code for verdict, code in CODES.items() if verdict in found)


def data(all_of: Sequence[Awaited]) -> Any:
    return [each.model_dump(mode="json", by_alias=True) for each in answers(all_of)]
