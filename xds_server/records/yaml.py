"""YAML text to plain values, and from a field's path back to its line.

PyYAML's C parser reads the text; what a plain scalar means is decided here, by YAML 1.2's core schema: `on`, `yes` and
dates are strings. JSON is YAML. What an operator cannot have meant is a fault: a key twice, a key that is no string, a
tag, more values than a record could have (aliases within aliases).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from typing_extensions import override
from yaml import CSafeLoader, Mark, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

PLAIN = "plain"
QUOTED = "tag:yaml.org,2002:str"
COLLECTION = "collection"
COLLECTIONS = (COLLECTION, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
NULL = ("", "~", "null", "Null", "NULL")
TRUE = ("true", "True", "TRUE")
FALSE = ("false", "False", "FALSE")
NUMBER = re.compile(r"[-+.0-9]")
INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
"""A longer one is read as a float: no field takes either, and what is said of it quotes the text."""
FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
LARGEST = 100_000
"""Values in one document, aliases written out."""
DEEPEST = 50
RECURSION = 200
"""How deep PyYAML may go: it recurses in C, and has no limit of its own but the end of the stack."""

FieldPath = tuple[str | int, ...]


class YamlFault(Exception):
    """The text, or one document of it, is not what a record could be. `line` counts from 1."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class _Parser(CSafeLoader):
    """PyYAML's C parser, with its resolver replaced by a note of whether a scalar was plain."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    @override
    def resolve(self, kind: type[Node], _value: object, implicit: Any) -> str:
        if kind is ScalarNode:
            return PLAIN if implicit[0] else QUOTED
        return COLLECTION

    @override
    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        self._depth += 1
        if self._depth > RECURSION and parent is not None:
            raise YamlFault("is nested deeper than any record", _line(parent))

    @override
    def ascend_resolver(self) -> None:
        self._depth -= 1


def documents(text: str) -> Iterator[Node]:
    """The documents of a text that are not empty. `YamlFault`: from there on it is not YAML."""
    try:
        parser = _Parser(text)
        while parser.check_node():
            node = parser.get_node()
            if node is not None and not (isinstance(node, ScalarNode) and node.tag == PLAIN and node.value in NULL):
                yield node
    except YAMLError as error:
        mark: Mark | None = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise YamlFault(f"is not YAML: {what}", mark.line + 1 if mark else 0) from None


def value(node: Node) -> Any:
    """The node as plain values. `YamlFault`: something in it that a record cannot have."""
    return _Values().of(node, 0)


@dataclass(slots=True)
class _Values:
    """Counts what it makes, so that aliases within aliases end."""

    made: int = 0

    def of(self, node: Node, depth: int) -> Any:
        self.made += 1
        if self.made > LARGEST or depth > DEEPEST:
            raise YamlFault("has more values or is nested deeper than any record: are its aliases meant?", _line(node))
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if node.tag not in COLLECTIONS:
            raise YamlFault(f"has the tag {node.tag}, which no record has", _line(node))
        if isinstance(node, SequenceNode):
            return [self.of(item, depth + 1) for item in node.value]
        return self._mapping(node, depth)

    def _mapping(self, node: Node, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                raise YamlFault("has a key that is not a string", _line(key))
            if key.value in found:
                raise YamlFault(f"has the key {key.value!r} twice", _line(key))
            found[key.value] = self.of(item, depth + 1)
        return found


def _scalar(node: ScalarNode) -> Any:
    text: str = node.value
    if node.tag != PLAIN:
        if node.tag != QUOTED:
            raise YamlFault(f"has the tag {node.tag}, which no record has", _line(node))
        return text
    return plain_value(text)


def plain_value(text: str) -> Any:
    """What a scalar means that is not quoted."""
    if text in NULL:
        return None
    if text in TRUE or text in FALSE:
        return text in TRUE
    if NUMBER.match(text):
        if INTEGER.fullmatch(text):
            return int(text)
        if FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


@dataclass(frozen=True, slots=True)
class Found:
    """Where a field is, or, if it is missing, where it would be. `plain` is its text if it is a plain scalar."""

    line: int
    plain: str | None = None


def find(root: Node, path: FieldPath) -> Found:
    line, node = _line(root), root
    for step in path:
        following = _step(node, step)
        if following is None:
            return Found(line)
        line, node = following
    plain = node.value if isinstance(node, ScalarNode) and node.tag == PLAIN else None
    return Found(line, plain)


def _step(node: Node, step: str | int) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        for key, item in node.value:
            if isinstance(key, ScalarNode) and key.value == step:
                return _line(key), item
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return _line(node.value[step]), node.value[step]
    return None
