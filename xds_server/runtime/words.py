"""Whose word it is what releases give, where they come into force later than they were written.

A command writes a record, and the release waits: for another record, say. Whoever looks into the history is to find who
wrote it, not that it was a record. Kept in memory: after a restart it is the word of the records.
"""

from collections.abc import Iterable

from xds_server.difference.history import RECORDS, Event, Word
from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key


class Words:
    """What the folder says of releases by somebody's word, and is not in force yet."""

    def __init__(self) -> None:
        self._waiting: dict[Ref, tuple[str, Word]] = {}

    def note(
        self, before: Admission, after: Admission, files: Iterable[str], word: Word, in_force: Admission | None = None
    ) -> None:
        """These files were written by this word. `in_force` None: `after` is."""
        for release in {key.ref for name in files for key in after.keys.get(name, ()) if key.kind == "Release"}:
            said = _stated(after, release)
            if said != _stated(before, release):
                self._waiting.pop(release, None)
                if word != RECORDS and said != _in_force(in_force or after, release):
                    self._waiting[release] = said, word

    def of(self, event: Event, after: Admission) -> Event:
        """With the word by which it was written what comes into force."""
        waiting = self._waiting.get(event.release)
        if waiting is None or event.word != RECORDS or waiting[0] != _in_force(after, event.release):
            return event
        return event._replace(word=waiting[1])

    def over(self, releases: Iterable[Ref], after: Admission) -> None:
        """What these releases waited for may have come into force."""
        for release in releases:
            if release in self._waiting and self._waiting[release][0] == _in_force(after, release):
                del self._waiting[release]


def _stated(admission: Admission, release: Ref) -> str:
    documents = admission.wanted.get(Key("Release", release), ())
    return documents[0].content if documents else ""


def _in_force(admission: Admission, release: Ref) -> str:
    entry = admission.in_force.get(Key("Release", release))
    return entry.content if entry is not None else ""
