"""Waiting for a content of a release: until there is a verdict, by what the ledger, its history and the records say."""

import asyncio
from collections.abc import Callable, Iterator

from typing_extensions import override

from xds_server.api.release_reports import Answer, Question, Verdict, entry_report
from xds_server.api.releases import Books
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Severity
from xds_server.ledger.content import document_content
from xds_server.ledger.entry import Entry, Holder, State
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.runtime.bookkeeping import Bookkeeping

FINAL = {
    State.LIVE: Verdict.LIVE,
    State.REPLACED: Verdict.LIVE,
    State.REFUSED: Verdict.REFUSED,
    State.SUPERSEDED: Verdict.SUPERSEDED,
    State.REMOVED: Verdict.SUPERSEDED,
}
"""States that waiting ends with."""


class Waiting(Books):
    """The ledger for those who ask. `admission` is what is in force and held back now."""

    def __init__(self, books: Bookkeeping, admission: Callable[[], Admission]) -> None:
        self._books = books
        self._admission = admission

    @property
    @override
    def releases(self) -> list[Ref]:
        return self._books.ledger.releases

    @override
    def entry(self, release: Ref) -> Entry | None:
        return self._books.ledger.entry(release)

    @override
    def holders(self, release: Ref) -> list[Holder]:
        return self._books.ledger.holders(release)

    @override
    def history(self, release: Ref) -> list[Entry]:
        return self._books.history(release)

    @override
    def refusal(self, release: Ref) -> str:
        return " ".join(str(each) for each in self._held(release))

    @override
    async def wait(self, question: Question, seconds: float) -> Answer:
        answer = self._answer(question)
        try:
            async with asyncio.timeout(seconds):
                while answer.verdict in (Verdict.PENDING, Verdict.NO_PROXIES):
                    if answer.entry is not None:
                        question = question.model_copy(update={"entry": answer.entry.number})
                    await self._books.news_of(question.release)
                    answer = self._answer(question)
        except TimeoutError:
            answer = self._answer(question)
        return answer

    def _answer(self, question: Question) -> Answer:
        entry = self._found(question)
        if entry is None:
            return self._not_in_force(question)
        release = entry.release
        # What its records say is newer than what was waited for: only who asks for the newest is refused because of it.
        if not question.content and (held := self.refusal(release)):
            return self._said(Verdict.REFUSED, held, question, entry)
        state = entry.state
        verdict = FINAL.get(state, Verdict.NO_PROXIES if state is State.NO_PROXIES else Verdict.PENDING)
        return self._said(verdict, _why(entry), question, entry)

    def _found(self, question: Question) -> Entry | None:
        """The entry that is waited for, if its content has come into force."""
        current = self._current(question)
        if current is not None and question.entry in (0, current.number):
            return current
        if question.entry:
            past = self._past(question)
            return next((each for each in past if each.number == question.entry), None) or current
        if question.again or not question.content:
            return current
        return next(iter(self._past(question)), None)

    def _current(self, question: Question) -> Entry | None:
        ledger = self._books.ledger
        names = ledger.releases if question.release is None else [question.release]
        found = (each for each in names if (ledger.content(each) or "").startswith(question.content or ""))
        return next((entry for each in found if (entry := ledger.entry(each)) is not None), None)

    def _past(self, question: Question) -> list[Entry]:
        if question.release is None:
            return self._books.entries_of(question.content)
        return [each for each in self._books.history(question.release) if each.content.startswith(question.content)]

    def _not_in_force(self, question: Question) -> Answer:
        for release in self._held_with(question):
            return self._said(Verdict.REFUSED, self.refusal(release), question, None)
        named = question.release
        known = named is not None and self._books.ledger.content(named) is not None
        what = "the server has another content in force" if known else "the server has no such release in force"
        return self._said(Verdict.PENDING, what, question, None)

    def _held_with(self, question: Question) -> Iterator[Ref]:
        """The releases whose records say what is waited for, and are held back."""
        admission = self._admission()
        keys = admission.held if question.release is None else [Key("Release", question.release)]
        for key in keys:
            if key.kind == "Release" and self._held(key.ref):
                wanted = [document_content(each) or "" for each in admission.wanted.get(key, ())]
                if not question.content or any(each.startswith(question.content) for each in wanted):
                    yield key.ref

    def _held(self, release: Ref) -> list[Problem]:
        admission, key = self._admission(), Key("Release", release)
        by_itself = (problem for each in admission.wanted.get(key, ()) for problem in each.problems)
        return [each for each in (*admission.held.get(key, ()), *by_itself) if each.severity is Severity.ERROR]

    def _said(self, verdict: Verdict, why: str, question: Question, entry: Entry | None) -> Answer:
        release = question.release or (entry.release if entry else None)
        return Answer(
            verdict=verdict,
            why=why,
            release=release.word if release else "",
            content=entry.content if entry else question.content,
            entry=entry_report(entry) if entry else None,
        )


def _why(entry: Entry) -> str:
    if entry.state is State.SUPERSEDED:
        return f"another content replaced it before it was live ({entry.summary.words})"
    if entry.state is State.REMOVED and entry.live is None:
        return "the release was removed before it was live"
    if entry.state is State.NO_PROXIES:
        return "no proxy of its gateways is connected"
    if entry.end is not None:
        return f"it was live, and is not in force any more ({entry.summary.words})"
    return entry.summary.words
