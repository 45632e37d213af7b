"""Waiting for a content of a release: until there is a verdict, by what the ledger, its history and the records say."""

import asyncio
import difflib
from collections.abc import Callable, Iterator

from typing_extensions import override

from xds_server.api.release_reports import Answer, Question, Verdict, entry_report
from xds_server.api.releases import Books
from xds_server.domain.names import Ref, ref
from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.domain.words import few
from xds_server.ledger.content import document_content
from xds_server.ledger.entry import End, Entry, Holder, State
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.runtime.bookkeeping import Bookkeeping
from xds_server.state.store import PER_RELEASE

VERDICTS = {
    State.LIVE: Verdict.LIVE,
    State.REPLACED: Verdict.LIVE,
    State.REFUSED: Verdict.REFUSED,
    State.SUPERSEDED: Verdict.SUPERSEDED,
    State.REMOVED: Verdict.SUPERSEDED,
    State.NO_PROXIES: Verdict.NO_PROXIES,
    State.PENDING: Verdict.PENDING,
}
COMPARED = 1000
"""Releases of which the name is compared with one that is not known."""
NOT_YET = "it has not come into force yet"


class Waiting(Books):
    """The ledger for those who ask. `admission` is what is in force and held back now, `waits_for` what keeps gateways
    from being told of a release that is in force.
    """

    def __init__(self, books: Bookkeeping, admission: Callable[[], Admission], waits_for: Callable[[Ref], str]) -> None:
        self._books = books
        self._admission = admission
        self._waits_for = waits_for

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
        current = self.entry(release)
        past = [each for each in self._books.history(release) if current is None or each.number != current.number]
        return [*([current] if current is not None else []), *past]

    @override
    def refusal(self, release: Ref) -> str:
        return " ".join(str(each) for each in self._held(release))

    @override
    def unknown(self, question: Question) -> str:
        entries = self._entries(question) if question.entry else []
        numbers = [each.number for each in entries]
        is_forgotten = len(numbers) >= PER_RELEASE and question.entry < numbers[-1]
        if not question.entry or question.entry in numbers or is_forgotten:
            return ""
        of = [f" of release {question.release.word!r}"] if question.release is not None else []
        of += [f" of content {question.content!r}"] if question.content else []
        there_are = f"there are {few(map(str, numbers))}" if numbers else "there is none"
        return f"there is no entry {question.entry}{''.join(of)}: {there_are}"

    @override
    async def wait(self, question: Question, seconds: float) -> Answer:
        answer = self._answer(question)
        try:
            async with asyncio.timeout(seconds):
                while answer.verdict in (Verdict.PENDING, Verdict.NO_PROXIES):
                    if answer.entry is not None:
                        found = {"entry": answer.entry.number, "release": ref(answer.entry.release)}
                        question = question.model_copy(update=found)
                    await self._books.news_of(question.release)
                    answer = self._answer(question)
        except TimeoutError:
            answer = self._answer(question)
        return answer

    def _answer(self, question: Question) -> Answer:
        current = self._current(question)
        if question.entry:
            return self._judged(question, self._numbered(question, current))
        if not question.content:
            return self._newest(question, current)
        if current is not None:
            return self._judged(question, current)
        past = self._past(question)
        for release, content in self._held_with(question) if question.since or not past else ():
            return self._held_back(release, content)
        if past and question.since:
            return self._said(Verdict.SUPERSEDED, _came_and_went(past[0]), question, past[0])
        return self._judged(question, past[0]) if past else self._said(Verdict.PENDING, NOT_YET, question, None)

    def _judged(self, question: Question, entry: Entry | None) -> Answer:
        if entry is None:
            return self._said(
                Verdict.SUPERSEDED, f"entry {question.entry} is so old that it is forgotten", question, None
            )
        verdict = Verdict.LIVE if entry.live else VERDICTS[entry.state]
        held_back = self._waits_for(entry.release) if verdict is Verdict.PENDING else ""
        return self._said(verdict, held_back or self._why(entry), question, entry)

    def _newest(self, question: Question, current: Entry | None) -> Answer:
        """Of what its records say, if that is held back; else of what is in force."""
        release = question.release
        assert release is not None, "a question is about a release, a content, or both"
        for _, content in self._held_with(question):
            return self._held_back(release, content)
        if current is not None:
            return self._judged(question, current)
        return self._said(Verdict.PENDING, self._missing(release), question, None)

    def _held_back(self, release: Ref, content: str) -> Answer:
        """What is in force is not what it is about: that is refused, or waits until what it gives is ready."""
        question, waits = Question(release=release, content=content), self._waits(release)
        if waits is not None:
            return self._said(Verdict.PENDING, str(waits), question, None)
        return self._said(Verdict.REFUSED, f"the record is held back: {self.refusal(release)}", question, None)

    def _numbered(self, question: Question, current: Entry | None) -> Entry | None:
        found = [] if current is None else [current]
        return next((each for each in (*found, *self._entries(question)) if each.number == question.entry), None)

    def _current(self, question: Question) -> Entry | None:
        ledger = self._books.ledger
        if question.release is None:
            found = ledger.releases_with(question.content)
        else:
            is_it = (ledger.content(question.release) or "").startswith(question.content)
            found = [question.release] if is_it else []
        found = found or self._steered_with(question)
        return next((entry for each in found if (entry := ledger.entry(each)) is not None), None)

    def _steered_with(self, question: Question) -> list[Ref]:
        """The releases whose records say what is asked for, and which give something else by their rollouts."""
        admission = self._admission()
        known = (*admission.steered, *admission.moved) if question.release is None else (question.release,)
        return [
            release
            for release in known
            if (release in admission.steered or release in admission.moved)
            and not self._held(release)
            and self._waits(release) is None
            for document in admission.wanted.get(Key("Release", release), ())
            if (document_content(document) or "").startswith(question.content)
        ]

    def _entries(self, question: Question) -> list[Entry]:
        """All that are kept of what is asked for, the newest first."""
        if question.release is None:
            return self._books.entries_of(question.content)
        return [each for each in self.history(question.release) if each.content.startswith(question.content)]

    def _past(self, question: Question) -> list[Entry]:
        """What has been in force of a content that is not, the newest first."""
        since = question.since
        return [
            each for each in self._entries(question) if not since or (each.ended is not None and each.ended >= since)
        ]

    def _missing(self, release: Ref) -> str:
        """What there is, if there is no release of a name."""
        removed = next((each.ended for each in self.history(release) if each.end is End.REMOVED), None)
        if removed is not None:
            return (
                f"release {release.word!r} was removed at {removed:%Y-%m-%d %H:%M:%S} UTC, and is not there again yet"
            )
        words = [each.word for each in self.releases]
        near = difflib.get_close_matches(release.word, words[:COMPARED])
        there_is = f"near it is {', '.join(near)}" if near else f"there is {few(words)}" if words else "there is none"
        return f"there is no release {release.word!r} yet; {there_is}"

    def _held_with(self, question: Question) -> Iterator[tuple[Ref, str]]:
        """The releases whose records say what is waited for, and are held back; and the contents of these."""
        admission = self._admission()
        keys = admission.held if question.release is None else [Key("Release", question.release)]
        for key in keys:
            if key.kind == "Release" and (self._held(key.ref) or self._waits(key.ref)):
                wanted = [document_content(each) or "" for each in admission.wanted.get(key, ())]
                if not question.content or any(each.startswith(question.content) for each in wanted):
                    yield key.ref, question.content or next(filter(None, wanted), "")

    def _waits(self, release: Ref) -> Problem | None:
        found = self._admission().held.get(Key("Release", release), ())
        return next((each for each in found if each.reason is Reason.PENDING), None)

    def _held(self, release: Ref) -> list[Problem]:
        admission, key = self._admission(), Key("Release", release)
        by_itself = (problem for each in admission.wanted.get(key, ()) for problem in each.problems)
        return [each for each in (*admission.held.get(key, ()), *by_itself) if each.severity is Severity.ERROR]

    def _said(self, verdict: Verdict, why: str, question: Question, entry: Entry | None) -> Answer:
        release = question.release or (entry.release if entry else None)
        current = self.entry(release) if release is not None else None
        other = current is not None and (entry is None or entry.number != current.number)
        return Answer(
            verdict=verdict,
            why=why,
            release=release.word if release else "",
            content=entry.content if entry else question.content,
            entry=entry_report(entry) if entry else None,
            in_force=entry_report(current) if current is not None and other else None,
        )

    def _why(self, entry: Entry) -> str:
        match entry.state:
            case State.SUPERSEDED:
                return f"another content replaced it before it was live ({entry.summary.words})"
            case State.REMOVED if entry.live is None:
                return "the release was removed before it was live"
            case State.NO_PROXIES:
                return f"no proxy of its gateways is connected: {few(self._gateways(entry.release))}"
            case State.REFUSED if entry.refusal:
                return f"{entry.refusal} ({entry.summary.counted})"
            case State.REPLACED | State.REMOVED:
                return f"it was live, and is not in force any more ({entry.summary.words})"
            case _:
                return entry.summary.words

    def _gateways(self, release: Ref) -> tuple[str, ...]:
        found = self._admission().in_force.get(Key("Release", release))
        return found.record.spec.gateways if found is not None and isinstance(found.record, Release) else ()


def _came_and_went(entry: Entry) -> str:
    went = "removed" if entry.end is End.REMOVED else "replaced"
    was_live = ", after it had been live" if entry.live else ""
    return f"it was {went} before it was asked for{was_live} ({entry.summary.words})"
