"""What the source asks for while one step of an admission is made: which documents speak of which record."""

from collections.abc import Iterable, Set
from dataclasses import replace

from xds_server.domain.problems import Place
from xds_server.records.admitted import Admission, File
from xds_server.records.documents import Document, Key
from xds_server.records.draft import Draft
from xds_server.records.yaml import FieldPath

LAST_GOOD = "(last good)"
"""The place of a record that no file has spoken of since the server started."""


def may_be_in(opaque: Set[str], origin: str | None) -> bool:
    """Whether one of these files, of which nothing is known, may still speak of a record that came from `origin`."""
    return bool(opaque) if origin is None else origin in opaque


def place_in(admission: Admission, key: Key, path: FieldPath) -> Place:
    """Where a field of a record in force is, or the file that last spoke of the record."""
    documents, entry = admission.wanted.get(key, ()), admission.in_force.get(key)
    if documents and entry is not None and entry.content == documents[0].content:
        return documents[0].locate(path)
    return Place(admission.origins.get(key, LAST_GOOD), path=".".join(map(str, path)))


class Wants:
    """The documents of every record, and the file that last spoke of it."""

    def __init__(self, before: Admission) -> None:
        self.changed: set[Key] = set()
        self._files = before.files
        self._unread = before.unread
        self._documents = Draft(before.wanted)
        self._keys = Draft(before.keys)
        self._origins = Draft(before.origins)
        self._opaque = self._before_opaque = before.opaque

    def read(self) -> None:
        """What the files that were not read yet ask for."""
        for name in sorted(self._unread):
            self._read(name, self._files.get(name, File()))
        self._unread = frozenset()

    def _read(self, name: str, file: File) -> None:
        here: dict[Key, list[Document]] = {}
        for each in file.documents:
            if each.key is not None:
                here.setdefault(each.key, []).append(each)
        before = self._keys.get(name) or frozenset()
        if here:
            self._keys[name] = frozenset(here)
        else:
            self._keys.remove(name)
        for key in before.union(here):
            elsewhere = [each for each in self.of(key) if each.place.file != name]
            self._want(key, [*elsewhere, *here.get(key, ())])
        for key in here:
            self._origins[key] = name
        if file.opaque:
            self._opaque |= {name}
        elif name in self._opaque:
            self._opaque -= {name}
        self.changed |= before.union(here)

    def _want(self, key: Key, documents: list[Document]) -> None:
        if len(documents) > 1:
            documents.sort(key=lambda each: each.place)
        if documents:
            self._documents[key] = tuple(documents)
        else:
            self._documents.remove(key)

    @property
    def uncovered(self) -> bool:
        """It changed which files nothing is known of: what they may have held may be gone for certain now."""
        return self._opaque != self._before_opaque

    def __contains__(self, key: Key) -> bool:
        return key in self._documents

    def of(self, key: Key) -> tuple[Document, ...]:
        return self._documents.get(key) or ()

    def hidden(self, key: Key) -> bool:
        """It may still be in a file of which nothing is known: then it is not gone."""
        return may_be_in(self._opaque, self._origins.get(key))

    def partly_readable(self, key: Key) -> bool:
        """The file that last spoke of it was read, but for some of its documents."""
        file = self._files.get(self._origins.get(key) or "")
        return file is not None and not file.problems

    def place(self, key: Key) -> Place:
        """Where a record is, or was."""
        documents = self.of(key)
        return documents[0].place if documents else Place(self._origins.get(key) or LAST_GOOD)

    def forget(self, keys: Iterable[Key]) -> None:
        """These are neither wanted nor in force any more."""
        for key in keys:
            self._origins.remove(key)

    def finish(self, after: Admission) -> Admission:
        """The admission with what is wanted now."""
        return replace(
            after,
            unread=self._unread,
            wanted=self._documents.finish(),
            keys=self._keys.finish(),
            origins=self._origins.finish(),
            opaque=self._opaque,
        )
