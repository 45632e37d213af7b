"""A file's text becomes documents; each is a record, or says in full what is wrong with it."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ValidationError
from typing_extensions import override
from yaml.nodes import MappingNode, Node, ScalarNode

from xds_server.domain.names import DEFAULT_NAMESPACE, Ref, record_id
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.records import yaml
from xds_server.records.faults import faults
from xds_server.records.later import not_in_force
from xds_server.records.models import API_VERSION, KINDS, Record
from xds_server.records.plain import BYTE_ORDER_MARK, CANONICAL, Plain, text_of, usual
from xds_server.records.reading import PlainOf
from xds_server.records.values import LABEL

IS_LABEL = re.compile(LABEL)


class Key(NamedTuple):
    """Which record: two documents of one key are one record."""

    kind: str
    ref: Ref

    @override
    def __str__(self) -> str:
        return record_id(self.kind, self.ref)

    def order(self) -> str:
        """Texts that are in the order of their keys, and compared several times as fast."""
        return f"{self.kind}\0{self.ref.namespace}\0{self.ref.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One document of a file.

    `key` is None where its kind or name cannot be read. `record` is None where `problems` has an error. `content` is
    the canonical form of what it says: equal contents, equal records. `text` begins at the line of `place`.
    """

    place: Place
    key: Key | None
    record: Record | None
    content: str
    problems: tuple[Problem, ...]
    text: str

    def locate(self, path: yaml.FieldPath) -> Place:
        """The line of a field, found by reading the document again: only who has a problem pays for it."""
        line = self.place.line - 1 + _line(self, path)
        return Place(self.place.file, self.place.document, line, ".".join(map(str, path)))


@lru_cache(maxsize=1 << 14)
def _line(document: Document, path: yaml.FieldPath) -> int:
    """Remembered, because a record that is held back is tried again with every change."""
    return yaml.find(next(yaml.documents(document.text)), path).line


class Said(NamedTuple):
    """A record, and the canonical form of what it was read from."""

    record: Record
    content: str


Known = Callable[[Key, str], Said | None]
"""The record that is known to be what a content says, if there is one: to check it again would take longest of all.

It comes with the content that it was known by, so that nobody keeps two texts that are equal.
"""


def nothing_known(_key: Key, _content: str) -> None:
    return None


def read_documents(file: str, text: str, known: Known = nothing_known, plain: PlainOf = usual) -> tuple[Document, ...]:
    """Every document of the file. `YamlFault` if the text is not YAML: then nothing is known of any of them."""
    quick = _without_faults(file, plain(text) or (), known)
    if quick is not None:
        return quick
    text = text.removeprefix(BYTE_ORDER_MARK)
    return tuple(
        _document(Place(file, number, node.start_mark.line + 1), node, text_of(node, text), known)
        for number, node in enumerate(yaml.documents(text), 1)
    )


def _without_faults(file: str, said: Iterable[Plain], known: Known) -> tuple[Document, ...] | None:
    """None if there is anything to say of one of them: that takes nodes, with their lines."""
    found = []
    for number, plain in enumerate(said, 1):
        key = _claimed_key(plain.said)
        # A record that is valid, or known to be, has a name that is.
        this = (known(key, plain.content) or _valid(plain)) if key is not None else None
        if this is None or any(not_in_force(this.record)):
            return None
        found.append(Document(Place(file, number, plain.line), key, *this, (), plain.text))
    return tuple(found) or None


def _valid(plain: Plain) -> Said | None:
    try:
        return Said(KINDS[plain.said["kind"]].model_validate(plain.said), plain.content)
    except ValidationError:
        return None


def _document(place: Place, node: Node, text: str, known: Known) -> Document:
    try:
        said = yaml.value(node)
    except yaml.YamlFault as error:
        where = Place(place.file, place.document, error.line)
        key = _key(_identity(node))
        what = f"the document {error.what}"
        problem = Problem(where, Reason.MALFORMED, what, "Correct it", str(key) if key else "")
        return Document(place, key, None, "", (problem,), text)
    model = KINDS.get(_kind(said))
    if model is None:
        return Document(place, None, None, "", tuple(_no_record(place, node, said)), text)
    key = _key(said)
    content = CANONICAL(said)
    this = known(key, content) if key is not None else None
    try:
        this = this or Said(model.model_validate(said), content)
    except ValidationError as error:
        found = tuple(faults(place, node, str(key) if key else "", error, model))
        return Document(place, key, None, "", found, text)
    assert key is not None
    warnings = tuple(_warning(place, node, key, *each) for each in not_in_force(this.record))
    return Document(place, key, *this, warnings, text)


def _warning(place: Place, node: Node, key: Key, path: yaml.FieldPath, until_then: str) -> Problem:
    field = ".".join(map(str, path))
    where = Place(place.file, place.document, yaml.find(node, path).line, field)
    what = f"{field} is validated but not in force yet"
    return Problem(where, Reason.NOT_IN_FORCE, what, until_then, str(key), Severity.WARNING)


def _kind(said: Any) -> str:
    """What kind of record the document means to be; empty if that is none of ours."""
    kind = said.get("kind") if isinstance(said, dict) else None
    return kind if isinstance(kind, str) and kind in KINDS else ""


def _no_record(place: Place, node: Node, said: Any) -> Iterator[Problem]:
    """Why a document is no record of any kind."""
    if not isinstance(said, dict):
        fix = "Begin it with apiVersion, kind, metadata"
        yield Problem(place, Reason.MALFORMED, "the document is not a mapping", fix)
        return
    kind = said.get("kind")
    what = "kind is missing" if kind is None else f"kind {kind!r} is not known"
    close = difflib.get_close_matches(str(kind), KINDS, 1)
    fix = f"Did you mean {close[0]}?" if close else f"Write one of {', '.join(KINDS)}"
    where = Place(place.file, place.document, yaml.find(node, ("kind",)).line, "kind")
    yield Problem(where, Reason.INVALID_FIELD, what, fix)


def _key(said: Any) -> Key | None:
    """Who the document is, as far as that can be read even if the rest of it is broken."""
    key = _claimed_key(said)
    return (
        key if key is not None and IS_LABEL.fullmatch(key.ref.name) and IS_LABEL.fullmatch(key.ref.namespace) else None
    )


def _claimed_key(said: Any) -> Key | None:
    """Who the document says it is: of one that is no record, these may be names that no record has."""
    metadata = said.get("metadata") if _kind(said) and said.get("apiVersion") == API_VERSION else None
    if not isinstance(metadata, dict):
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace", DEFAULT_NAMESPACE)
    if not (isinstance(name, str) and isinstance(namespace, str)):
        return None
    return Key(said["kind"], Ref(namespace, name))


def _identity(node: Node) -> dict[str, Any]:
    """What a document that cannot be read as a whole says of who it is, unless it says that twice."""
    said: dict[str, Any] = {}
    for key, item in node.value if isinstance(node, MappingNode) else ():
        name = key.value if isinstance(key, ScalarNode) else ""
        if name in ("apiVersion", "kind", "metadata"):
            try:
                found = yaml.value(item)
            except yaml.YamlFault:
                return {}
            if name in said:
                return {}
            said[name] = found
    return said


def record_text(record: Record) -> str:
    """What a record says, for `restored`."""
    return record.model_dump_json(by_alias=True, exclude_unset=True)


def restored(key: Key, content: str) -> Record | None:
    """A record as it was saved; None if today's rules refuse it."""
    try:
        return KINDS[key.kind].model_validate_json(content)
    except (ValidationError, ValueError):
        return None
