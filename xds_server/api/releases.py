"""`/releases`: how far each content of each release has come, and waiting for one of them."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Path, Query

from xds_server.api.errors import UNKNOWN, wrong
from xds_server.api.release_reports import Answer, EntryReport, Question, ReleaseReport, entry_report
from xds_server.domain.names import Ref, ref
from xds_server.ledger.content import DIGITS, SHORTEST
from xds_server.ledger.entry import Entry, Holder

LONGEST = 600.0
"""Seconds that one request may wait."""
PAGE = 1000
CONTENT = re.compile(f"[0-9a-f]{{{SHORTEST},{DIGITS}}}")
LIST_MANY = 50
"""Releases that are looked at before others have their turn."""

Name = Annotated[str, Path(description="NAME, or NAMESPACE.NAME.")]
Content = Annotated[
    str, Query(description=f"Of which content: {SHORTEST} to {DIGITS} hexadecimal digits. Empty: what is in force.")
]
Seconds = Annotated[
    float, Query(alias="timeout", ge=0, le=LONGEST, description="Seconds after which it answers in any case.")
]
Number = Annotated[int, Query(ge=0, description="The number of the entry, of an earlier answer. 0: none yet.")]
Since = Annotated[
    datetime | None,
    Query(description="When it was asked for, in RFC 3339: what was not in force any more by then is not it."),
]
After = Annotated[str, Query(description="The last release of the page before.")]
Limit = Annotated[int, Query(ge=1, le=PAGE, description="Releases on a page.")]


class Books(Protocol):
    """The ledger of a running server."""

    @property
    def releases(self) -> list[Ref]:
        """Those in force, by name."""

    def entry(self, release: Ref) -> Entry | None:
        """What is in force of a release."""

    def holders(self, release: Ref) -> list[Holder]:
        """What each proxy did with what is in force."""

    def history(self, release: Ref) -> list[Entry]:
        """Every entry that is kept of a release, the newest first."""

    def refusal(self, release: Ref) -> str:
        """Why what its records say is not in force; empty if it is."""

    def unknown(self, question: Question) -> str:
        """Which entries there are, if the question is about none of them; empty if it is."""

    async def wait(self, question: Question, seconds: float) -> Answer:
        """What comes of waiting so many seconds."""


def _checked(content: str, *, empty: bool = True) -> str:
    if not (content or empty) or (content and not CONTENT.fullmatch(content)):
        raise wrong(400, f"content {content!r} is none: write {SHORTEST} to {DIGITS} hexadecimal digits of one")
    return content


def releases_api(books: Books, pause: Callable[[], Awaitable[None]]) -> APIRouter:
    """`pause` lets others have their turn."""
    api = APIRouter(tags=["releases"])

    @api.get("/releases", summary="What is in force of every release, and who has it")
    async def releases(after: After = "", limit: Limit = 100) -> list[EntryReport]:
        """By name. A page that is shorter than `limit` is the last one."""
        return await _listed(books, _page(books.releases, after, limit), pause)

    @api.get("/releases/{name}", summary="One release: what each proxy did with it, and its history", responses=UNKNOWN)
    async def release(name: Name) -> ReleaseReport:
        """404 if the ledger knows no such release: neither in force nor in history."""
        return _release_report(books, ref(name))

    @api.get(
        "/releases/{name}/wait",
        summary="Wait until a content of a release is live, or cannot become it",
        responses=UNKNOWN,
    )
    async def wait(
        name: Name, content: Content = "", seconds: Seconds = 60.0, entry: Number = 0, since: Since = None
    ) -> Answer:
        """Answers at once when there is a verdict; `pending` or `no proxies` when the time is over. 404: there is no
        such entry. A release that there is not may come: it is waited for."""
        question = Question(release=ref(name), content=_checked(content), entry=entry, since=since)
        return await _waited(books, question, seconds)

    @api.get("/wait", summary="Wait for a content, of whichever release", responses=UNKNOWN)
    async def wait_for(content: Content, seconds: Seconds = 60.0, entry: Number = 0) -> Answer:
        """As `/releases/{name}/wait`."""
        question = Question(content=_checked(content, empty=False), entry=entry)
        return await _waited(books, question, seconds)

    return api


async def _waited(books: Books, question: Question, seconds: float) -> Answer:
    unknown = books.unknown(question)
    if unknown:
        raise wrong(404, unknown)
    return await books.wait(question, seconds)


async def _listed(books: Books, releases: list[Ref], pause: Callable[[], Awaitable[None]]) -> list[EntryReport]:
    found = []
    for number, release in enumerate(releases, 1):
        entry = books.entry(release)
        if entry is not None:
            found.append(entry_report(entry))
        if number % LIST_MANY == 0:
            await pause()
    return found


def _release_report(books: Books, release: Ref) -> ReleaseReport:
    entry, history, refusal = books.entry(release), books.history(release), books.refusal(release)
    if entry is None and not history and not refusal:
        raise wrong(404, f"release {release.word!r} is not known here: xdsctl get lists those in force")
    return ReleaseReport(
        release=release.word,
        current=entry_report(entry, books.holders(release)) if entry else None,
        refused=refusal,
        entries=tuple(entry_report(each) for each in history),
    )


def _page(releases: list[Ref], after: str, limit: int) -> list[Ref]:
    start = ref(after) if after else None
    return [each for each in releases if start is None or each > start][:limit]
