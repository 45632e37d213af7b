"""The YAML that most records are written in, read line by line, in half of the time that PyYAML takes.

Block mappings and lists, each line with a key, a plain or quoted scalar of ASCII, or both. Whatever else there is
(flow style, anchors, tags, scalars on several lines, a key twice, anything broken) is not read here at all, but by
`yaml`, which also says what is wrong with it. What is read here is what `yaml` gives for it; a test compares the two.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from xds_server.records.yaml import DEEPEST, LARGEST, plain_value

CHAR = r"[A-Za-z0-9_./@+*=%(),;!?&<>~$^-]"
PLAIN = rf"[A-Za-z0-9_./](?:{CHAR}|:(?={CHAR})| +(?={CHAR}))*"
SCALAR = rf"""'(?P<{{0}}single>[ -&(-~]*)'|"(?P<{{0}}double>[ !#-\[\]-~]*)"|(?P<{{0}}plain>{PLAIN})"""
LINE = re.compile(
    rf"(?P<indent> *)(?P<dashes>(?:- )*)(?:(?P<key>[A-Za-z][A-Za-z0-9_./-]{{0,200}}):(?: +(?:{SCALAR.format('of_')}))?"
    rf"|(?:{SCALAR.format('')})) *"
)
NOTHING = re.compile(r" *(?:#[ -~]*)?")
"""A line that is empty or a comment."""
BEGIN = "---"


class Unusual(Exception):
    """There is something in the text that is not read here."""


class Told(NamedTuple):
    """A document: the line at which it begins, from 1, its own text, and its plain values."""

    line: int
    text: str
    said: dict[str, Any]


class _Token(NamedTuple):
    """A dash, a key or a scalar, and the column at which it begins. A key has its scalar with it, if it has one."""

    column: int
    key: str | None = None
    scalar: tuple[Any] | None = None
    is_dash: bool = False


def documents(text: str) -> tuple[Told, ...] | None:
    """The documents of a text that are not empty; None if `yaml` has to read it."""
    try:
        return tuple(_documents(text))
    except Unusual:
        return None


def _documents(text: str) -> Iterator[Told]:
    lines = text.split("\n")
    first = 0
    while first < len(lines):
        end = _index(lines, first)
        found = [(number, tokens) for number in range(first, end) if (tokens := _tokens(lines[number]))]
        if found:
            begins = found[0][0]
            own = "\n".join(lines[begins:end]) + ("\n" if end < len(lines) else "")
            yield Told(begins + 1, own, _root([token for _, tokens in found for token in tokens]))
        first = end + 1


def _index(lines: list[str], first: int) -> int:
    """Where the document ends that begins there."""
    try:
        return lines.index(BEGIN, first)
    except ValueError:
        return len(lines)


@lru_cache(maxsize=1 << 14)
def _tokens(line: str) -> tuple[_Token, ...]:
    found = LINE.fullmatch(line)
    if found is None:
        if NOTHING.fullmatch(line):
            return ()
        raise Unusual
    indent, dashes = len(found["indent"]), found["dashes"]
    column = indent + len(dashes)
    before = [_Token(each, is_dash=True) for each in range(indent, column, 2)]
    if found["key"] is not None:
        return (*before, _Token(column, found["key"], _scalar(found, "of_")))
    if not dashes:
        raise Unusual  # it goes on from the line before
    return (*before, _Token(column, None, _scalar(found, "")))


def _scalar(found: re.Match[str], of: str) -> tuple[Any] | None:
    if found[f"{of}plain"] is not None:
        return (plain_value(found[f"{of}plain"]),)
    quoted = found[f"{of}single"] if found[f"{of}single"] is not None else found[f"{of}double"]
    return None if quoted is None else (quoted,)


def _root(tokens: list[_Token]) -> dict[str, Any]:
    if len(tokens) > LARGEST // 2 or max(token.column for token in tokens) > DEEPEST:
        raise Unusual
    said, end = _mapping(tokens, 0, 0)
    if end < len(tokens):
        raise Unusual
    return said


def _node(tokens: list[_Token], place: int) -> tuple[Any, int]:
    column = tokens[place].column
    found, end = (_list if tokens[place].is_dash else _mapping)(tokens, place, column)
    if end < len(tokens) and tokens[end].column > column:
        raise Unusual
    return found, end


def _mapping(tokens: list[_Token], place: int, column: int) -> tuple[dict[str, Any], int]:
    said: dict[str, Any] = {}
    while place < len(tokens) and tokens[place].column == column and (key := tokens[place].key) is not None:
        if key in said:
            raise Unusual
        scalar = tokens[place].scalar
        place += 1
        following = tokens[place] if place < len(tokens) else None
        if scalar is not None:
            said[key] = scalar[0]
        elif following is not None and (
            following.column > column or (following.column == column and following.is_dash)
        ):
            said[key], place = _node(tokens, place)
        else:
            said[key] = None
        if place < len(tokens) and tokens[place].column > column:
            raise Unusual
    if not said:
        raise Unusual
    return said, place


def _list(tokens: list[_Token], place: int, column: int) -> tuple[list[Any], int]:
    said: list[Any] = []
    while place < len(tokens) and tokens[place].column == column and tokens[place].is_dash:
        place += 1
        scalar = tokens[place].scalar
        if tokens[place].key is None and scalar is not None:
            said.append(scalar[0])
            place += 1
        else:
            found, place = _node(tokens, place)
            said.append(found)
        if place < len(tokens) and tokens[place].column > column:
            raise Unusual
    return said, place
