"""Records that somebody applies to the files of a folder: where each goes, what the files then say, what is wrong.

A record goes where it is stated now, whatever file it is applied from; a new one goes into the file that is called as
the applied one is. What is refused is refused whole, with the place in the applied file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from xds_server.difference.steering import CannotSteer
from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity, beyond
from xds_server.domain.words import few
from xds_server.ledger.content import document_content, short
from xds_server.records.admitted import Admission
from xds_server.records.documents import Document, Key, read_documents
from xds_server.records.editing import NotEdited, bodies, document_written
from xds_server.records.reading import FileChange
from xds_server.records.yaml import YamlFault


class Faulty(CannotSteer):
    """What is wrong with the records that are applied, or would be when they are in force."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Outcome(StrEnum):
    """What applying a record does to the folder."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """A record that is applied: its document as it is in the applied file, and the file of the folder it is for."""

    key: Key
    document: Document
    body: str
    home: str
    outcome: Outcome

    @property
    def source(self) -> str:
        """The applied file."""
        return self.document.place.file

    @property
    def content(self) -> str:
        """Of a Release, as the ledger names it; else empty."""
        return document_content(self.document) or ""


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """What became of records that were applied: when they were, each of them, and what there is to warn of."""

    at: datetime
    records: tuple[Applied, ...]
    problems: tuple[Problem, ...]


def applied(admission: Admission, files: Mapping[str, str]) -> tuple[Applied, ...]:
    """The records of some files, by the files' names. Raises `Faulty`, `CannotSteer`."""
    documents = {name: _documents(name, text) for name, text in files.items()}
    problems = [*_faults(documents), *_twice(each for found in documents.values() for each in found)]
    if problems:
        raise Faulty(problems)
    taken: dict[str, str] = {}
    records = tuple(
        _applied(admission, document, body, taken)
        for name, found in documents.items()
        for document, body in zip(found, bodies(files[name]), strict=True)
    )
    for each in records:
        if each.outcome is Outcome.ADDED:
            _check_free(admission, each, {one.key for one in records if one.source == each.source})
    return records


def check_expected(admission: Admission, records: Iterable[Applied], expected: Mapping[Ref, str]) -> None:
    """The folder states these contents of releases, as who applies them believes. Raises `CannotSteer`."""
    keys = {each.key for each in records}
    for release, content in expected.items():
        key = Key("Release", release)
        if key not in keys:
            raise CannotSteer(
                f"Release {release.word} is not among the records that are applied, and is expected to be"
            )
        check_content(admission, release, content)


def check_content(admission: Admission, release: Ref, content: str) -> None:
    """The folder states this content of a release. Raises `CannotSteer`."""
    stated = admission.wanted.get(Key("Release", release), ())
    found = document_content(stated[0]) or "" if stated else ""
    if not found.startswith(content):
        said = f"says content {short(found)}" if found else "is not there"
        raise CannotSteer(f"Release {release.word} {said}, where {short(content)} is expected: look at it again")


def homes(records: Iterable[Applied]) -> set[str]:
    """The files that are to be written."""
    return {each.home for each in records if each.outcome is not Outcome.UNCHANGED}


def rewritten(
    admission: Admission, records: Sequence[Applied], files: Mapping[str, str], texts: Mapping[str, str | None]
) -> tuple[FileChange, ...]:
    """What is written where. `texts`: what the `homes` say now; None: there is no such file. Raises `CannotSteer`."""
    changes = []
    for home, before in sorted(texts.items()):
        check_read(admission, home, before)
        own = [each for each in records if each.home == home and each.outcome is not Outcome.UNCHANGED]
        changes.append(FileChange(home, before, _rewritten(before, own, records, files)))
    return tuple(changes)


def check_read(admission: Admission, name: str, text: str | None) -> None:
    """A file says what is known of it. Raises `CannotSteer`."""
    known = admission.files.get(name)
    if (known is None) == (text is None):
        if known is None or text is None:
            return
        try:
            found = read_documents(name, text)
        except YamlFault as error:
            raise CannotSteer(f"{name} {error.what}: correct it first") from None
        if [(each.key, each.content) for each in found] == [(each.key, each.content) for each in known.documents]:
            return
    raise CannotSteer(f"{name} was changed just now and is not read yet: try again")


def objections(before: Admission, after: Admission, records: Sequence[Applied]) -> tuple[Problem, ...]:
    """What is wrong with these records once the folder has them, and what else they bring about: by applied file."""
    keys = {str(each.key) for each in records}
    own = {each for each in after.findings if each.record in keys}
    others = () if after.has_problems_of(before) else beyond(after.problems, before.problems)
    return as_applied(own.union(others), records, after)


def as_applied(problems: Iterable[Problem], records: Sequence[Applied], after: Admission) -> tuple[Problem, ...]:
    """By their place in the applied files, where they are of a record that comes from one."""
    changed = {str(each.key): each for each in records if each.outcome is not Outcome.UNCHANGED}
    return tuple(sorted(_as_applied(each, changed, after) for each in problems))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(each for each in problems if each.severity is Severity.ERROR)


def _documents(name: str, text: str) -> tuple[Document, ...]:
    try:
        return read_documents(name, text)
    except YamlFault as error:
        problem = Problem(Place(name, 0, error.line), Reason.MALFORMED, f"the file {error.what}", "Correct it")
        raise Faulty([problem]) from None


def _faults(documents: Mapping[str, Sequence[Document]]) -> Iterator[Problem]:
    for name, found in documents.items():
        if not found:
            yield Problem(Place(name), Reason.NO_RECORDS, "the file has no record", "Write one")
        for each in found:
            yield from errors(each.problems)


def _twice(documents: Iterable[Document]) -> Iterator[Problem]:
    first: dict[Key, Document] = {}
    for each in documents:
        if each.key is not None and first.setdefault(each.key, each) is not each:
            what = f"is applied twice: {first[each.key].place} and {each.place}"
            yield Problem(each.place, Reason.DUPLICATE_RECORD, what, "Keep one of them", str(each.key))


def _applied(admission: Admission, document: Document, body: str, taken: dict[str, str]) -> Applied:
    """`taken`: by which applied file each file of the folder is written anew."""
    assert document.key is not None
    key = document.key
    stated = admission.wanted.get(key, ())
    if len(stated) > 1:
        places = few(str(each.place) for each in stated)
        raise CannotSteer(f"{key} is stated more than once: {places}. Keep one of them first")
    if stated:
        outcome = Outcome.UNCHANGED if stated[0].content == document.content else Outcome.CHANGED
        return Applied(key, document, body, stated[0].place.file, outcome)
    source = document.place.file
    home = source.rpartition("/")[2]
    if taken.setdefault(home, source) != source:
        raise CannotSteer(f"{source} and {taken[home]} would both become {home}: give one of them another name")
    return Applied(key, document, body, home, Outcome.ADDED)


def _rewritten(text: str | None, own: Sequence[Applied], records: Sequence[Applied], files: Mapping[str, str]) -> str:
    if text is None:
        source = own[0].source
        if all(each.home == own[0].home for each in records if each.source == source):
            return files[source]
    try:
        for each in own:
            text = document_written(text or "", each.key, each.body)
    except NotEdited as error:
        raise CannotSteer(f"{own[0].home}: {error}") from None
    return text or ""


def _check_free(admission: Admission, record: Applied, mates: Set[Key]) -> None:
    """A new record goes into a file with others of its applied file, or into a new one. Raises `CannotSteer`."""
    known = admission.files.get(record.home)
    others = [each.key for each in known.documents if each.key] if known is not None else []
    if others and mates.isdisjoint(others):
        why = f"{record.key} is new, and {record.home} of the folder states {few(map(str, others))}"
        raise CannotSteer(f"{why}: give {record.source} another name")


def _as_applied(problem: Problem, changed: Mapping[str, Applied], after: Admission) -> Problem:
    """With the line of the applied file: the folder has the same lines of it, elsewhere."""
    found = changed.get(problem.record)
    stated = after.wanted.get(found.key, ()) if found is not None else ()
    if found is None or problem.where.file != found.home or not stated:
        return problem
    own = found.document.place
    line = own.line if not problem.where.line else problem.where.line - stated[0].place.line + own.line
    return replace(problem, where=Place(own.file, own.document, line, problem.where.path))
