"""A text of records with one of them changed: everything else in it stays as it is, byte for byte.

Where a value is written is known by the marks of YAML's nodes, so only its own characters are replaced: comments,
quotes, indentation and order are nobody's business here. What was made is read again before it is given back: a text in
which anything else would say something else, as an anchor can bring about, is refused.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode

from xds_server.domain.errors import XdsServerError
from xds_server.domain.names import Ref
from xds_server.records import yaml
from xds_server.records.documents import Document, Key, read_documents
from xds_server.records.models import Release
from xds_server.records.plain import BYTE_ORDER_MARK
from xds_server.records.releases import Weights
from xds_server.records.rewritten import default_said, percent

MARK = re.compile(r"^(?:---|\.\.\.)(?=\s|\Z)[ \t]*(?:\r?\n)?", re.MULTILINE)
"""A line that ends a document, up to where the next one may begin. At the start of a line it can be nothing else."""
ANCHOR = re.compile(r"^&\S+\s+")
ALIAS = re.compile(r"(?:[\s:,\[-]|#[^\n]*\n)*(\*[^\s,\]}]+)")
COMMENT = re.compile(r"[ \t]*(?:,[ \t]*)?(?:#.*)?")


class NotEdited(XdsServerError):
    """A record is written in a way that cannot be changed here, and what to do."""


class _Edit(NamedTuple):
    """What is written in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


def weights_written(text: str, key: Key, weights: Weights) -> str:
    """With these weights in the default of a Release; deployments that are listed and not among them have 0.

    Deployments that are not listed are added at the end. Raises `NotEdited`.
    """
    bare = text.removeprefix(BYTE_ORDER_MARK)
    before = _documents(bare)
    number = _stated(before, key)
    record = None if number is None else before[number].record
    if not isinstance(record, Release) or not record.spec.default or number is None:
        raise NotEdited(f"{key} is not written there with a default that holds: correct it first")
    wanted = {ref: 0 for ref, _ in record.weights} | dict(weights)
    if wanted == dict(record.weights):
        return text
    default = _Default(bare, list(yaml.documents(bare))[number], record)
    for edits in (default.in_place, default.anew):
        after = _edited(bare, edits(wanted))
        if _says(before, after, number, wanted):
            return text[: len(text) - len(bare)] + after
    raise NotEdited(f"spec.default of {key} is written with anchors that are used elsewhere: write it out")


def document_written(text: str, key: Key, body: str) -> str:
    """With this document, which states the record, in place of the one that does; at the end if none does.

    `body` is as of `bodies`. Raises `NotEdited`.
    """
    bare = text.removeprefix(BYTE_ORDER_MARK)
    before, [new] = _documents(bare), _documents(body)
    number = _stated(before, key)
    written = body if body.endswith("\n") else f"{body}{_line_end(bare)}"
    if number is None:
        after = _joined(bare, written)
        number = len(before)
    else:
        start, end = list(_places(bare))[number]
        opened = "" if start == 0 or bare[start - 1] == "\n" else _line_end(bare)
        after = _edited(bare, [_Edit(start, end, opened + written)])
    expected = [*map(_content, before[:number]), _content(new), *map(_content, before[number + 1 :])]
    if [*map(_content, _read(after) or ())] != expected:
        raise NotEdited(f"{key} cannot be written there without changing another document: write it by hand")
    return text[: len(text) - len(bare)] + after


def document_removed(text: str, key: Key) -> str:
    """Without the document that states the record, and without the mark before it. Raises `NotEdited`."""
    bare = text.removeprefix(BYTE_ORDER_MARK)
    before = _documents(bare)
    number = _stated(before, key)
    if number is None:
        raise NotEdited(f"{key} is not written there")
    start, end = list(_places(bare))[number]
    own = next((each.start() for each in MARK.finditer(bare) if each.end() == start and each[0][0] == "-"), start)
    following = MARK.match(bare, end) if start == 0 else None
    after = _edited(bare, [_Edit(own, following.end() if following else end, "")])
    expected = [_content(each) for each in before if each is not before[number]]
    if [*map(_content, _read(after) or ())] != expected:
        raise NotEdited(f"{key} cannot be taken out without changing another document: do it by hand")
    return text[: len(text) - len(bare)] + after


def bodies(text: str) -> list[str]:
    """The lines of each document that is not empty, with the comments between it and its neighbours' marks."""
    bare = text.removeprefix(BYTE_ORDER_MARK)
    return [bare[start:end] for start, end in _places(bare)]


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Where each document that is not empty is written."""
    marks = [(0, 0), *(each.span() for each in MARK.finditer(text)), (len(text), len(text))]
    pieces = [(before[1], after[0]) for before, after in pairwise(marks)]
    for node in yaml.documents(text):
        at = node.start_mark.index
        yield next((start, end) for start, end in pieces if start <= at < end)


def _joined(text: str, body: str) -> str:
    if not text.strip():
        return text + body
    line_end = _line_end(text)
    return f"{text}{'' if text.endswith(line_end) else line_end}---{line_end}{body}"


def _documents(text: str) -> tuple[Document, ...]:
    found = _read(text)
    if found is None:
        raise NotEdited("the file is not YAML: correct it first")
    return found


def _read(text: str) -> tuple[Document, ...] | None:
    try:
        return read_documents("", text)
    except yaml.YamlFault:
        return None


def _stated(documents: tuple[Document, ...], key: Key) -> int | None:
    """Which of the documents states the record."""
    found = [number for number, each in enumerate(documents) if each.key == key]
    if len(found) > 1:
        raise NotEdited(f"{key} is written twice there: keep one of them")
    return found[0] if found else None


def _content(document: Document) -> tuple[Key | None, str, str]:
    """What a document says; of one that cannot be read, its text."""
    return document.key, document.content, "" if document.content else document.text.strip()


def _says(before: tuple[Document, ...], text: str, number: int, wanted: dict[Ref, int]) -> bool:
    """This document says the weights and else what it said, and the others what they said."""
    after = _read(text)
    if after is None or len(after) != len(before):
        return False
    record = after[number].record
    if not isinstance(record, Release) or dict(record.weights) != wanted:
        return False
    others = [(one, two) for at, (one, two) in enumerate(zip(before, after, strict=True)) if at != number]
    return all(_content(one) == _content(two) for one, two in others) and (
        _but_default(before[number]) == _but_default(after[number])
    )


def _but_default(document: Document) -> Any:
    said = json.loads(document.content)
    del said["spec"]["default"]
    return said


def _edited(text: str, edits: Iterable[_Edit]) -> str:
    """Of two at the same place, the first comes first."""
    pieces, end = [], 0
    for each in sorted(edits, key=lambda each: each.start):
        pieces += [text[end : each.start], each.text]
        end = each.end
    return "".join((*pieces, text[end:]))


class _Default:
    """Where the default of a Release is written, and how."""

    def __init__(self, text: str, root: Node, record: Release) -> None:
        self._text = text
        self._record = record
        self._weights = dict(record.weights)
        self._key, node = _field(_field(root, "spec")[1], "default")
        assert isinstance(node, SequenceNode)
        self._node = node

    def in_place(self, wanted: dict[Ref, int]) -> Iterator[_Edit]:
        """Only the weights that change, and what is missing."""
        left, text = dict(wanted), self._text
        for item in self._node.value:
            name = _field(item, "deployment")[1]
            ref = self._record.refer(name.value)
            weight = left.pop(ref, 0)
            said = next((found for found in item.value if found[0].value == "weight"), None)
            if said is None:
                yield self._with_weight(item, str(percent(weight)))
            elif self._weights[ref] != weight:
                start, end = _span(text, *said)
                number = ANCHOR.sub("", text[start:end])
                yield _Edit(end - len(number), end, str(percent(weight)))
        for ref, weight in left.items():
            yield self._added(default_said(self._record.ref.namespace, ((ref, weight),))[0])

    def anew(self, wanted: dict[Ref, int]) -> Iterator[_Edit]:
        """The whole of it in one line: in place of an alias, say."""
        text, after = self._text, self._key.end_mark.index
        quote = text[self._key.start_mark.index] if text[self._key.start_mark.index] in "\"'" else ""
        items = (_flow(each, quote, quote) for each in default_said(self._record.ref.namespace, tuple(wanted.items())))
        alias = ALIAS.match(text, after) if self._node.start_mark.index < after else None
        end = alias.end() if alias else _end(self._node)
        yield _Edit(after, end, f": [{', '.join(items)}]")

    def _with_weight(self, item: MappingNode, weight: str) -> _Edit:
        """A deployment that is the only one need not say its weight."""
        key, value = item.value[-1]
        end = _span(self._text, key, value)[1]
        quote = self._quote(key)
        said = f"{quote}weight{quote}: {weight}"
        if item.flow_style:
            return _Edit(end, end, f", {said}")
        at = self._line_end_after(end)
        return _Edit(at, at, f"{_line_end(self._text)}{' ' * key.start_mark.column}{said}")

    def _added(self, said: dict[str, Any]) -> _Edit:
        """One more deployment, written as the last one is."""
        text, line_end = self._text, _line_end(self._text)
        last = self._node.value[-1]
        name_key, name = _field(last, "deployment")
        quote, value_quote = self._quote(name_key), self._quote(name)
        flow = _flow(said, quote, value_quote)
        start, end = last.start_mark.index, _end(last)
        if self._node.flow_style:
            return self._added_between(flow, start, end)
        dash = text.rfind("-", 0, start)
        indent = " " * (dash - text.rfind("\n", 0, dash) - 1)
        if not last.flow_style:
            inner = f"{line_end}{' ' * last.start_mark.column}"
            flow = inner.join(_fields(said, quote, value_quote))
        at = self._line_end_after(end)
        return _Edit(at, at, f"{line_end}{indent}- {flow}")

    def _added_between(self, flow: str, start: int, end: int) -> _Edit:
        """On a line of its own where the last one is."""
        text = self._text
        begin = text.rfind("\n", 0, start) + 1
        alone = not text[begin:start].strip() and COMMENT.fullmatch(text, end, self._line_end_after(end))
        return _Edit(end, end, f",{_line_end(text)}{text[begin:start]}{flow}" if alone else f", {flow}")

    def _quote(self, node: Node) -> str:
        char: str = self._text[node.start_mark.index]
        return char if char in "\"'" else ""

    def _line_end_after(self, at: int) -> int:
        found = self._text.find("\n", at)
        end = len(self._text) if found < 0 else found
        return end - 1 if self._text[end - 1] == "\r" else end


def _line_end(text: str) -> str:
    """How lines end there."""
    return "\r\n" if "\r\n" in text else "\n"


def _field(node: Node, name: str) -> tuple[Node, Node]:
    found: tuple[Node, Node] = next(each for each in node.value if each[0].value == name)
    return found


def _span(text: str, key: Node, value: Node) -> tuple[int, int]:
    """Where the value of a field is written: what an alias stands for is written before."""
    after = key.end_mark.index
    alias = ALIAS.match(text, after) if value.start_mark.index < after else None
    return alias.span(1) if alias else (value.start_mark.index, _end(value))


def _end(node: Node) -> int:
    """Where the last character of a node is: what YAML calls the end of a block is where the next thing begins."""
    if isinstance(node, CollectionNode) and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, MappingNode) else last)
    return int(node.end_mark.index)


def _flow(said: dict[str, Any], quote: str, value_quote: str) -> str:
    return f"{{{', '.join(_fields(said, quote, value_quote))}}}"


def _fields(said: dict[str, Any], quote: str, value_quote: str) -> tuple[str, str]:
    name = said["deployment"]
    # Such a name would be read as a number.
    quoted = value_quote or ("" if yaml.plain_value(name) == name else '"')
    return f"{quote}deployment{quote}: {quoted}{name}{quoted}", f"{quote}weight{quote}: {said['weight']}"
