"""The documents of a text as plain values, before anybody asks what they mean.

They cross between processes, so that one may read texts while another is busy (`handed_over`, `received`).
"""

import json
import marshal
from typing import Any, NamedTuple

from yaml.nodes import Node

from xds_server.records import block_yaml, yaml

BYTE_ORDER_MARK = "\ufeff"
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
"""Plain values as the one text that stands for them."""


class Plain(NamedTuple):
    """A document: the line at which it begins, from 1, its own text, its values, and those as canonical JSON."""

    line: int
    text: str
    said: Any
    content: str


def usual(text: str) -> tuple[Plain, ...] | None:
    """The documents of a text in the usual form; None if it is in another: `yaml` reads all forms."""
    found = block_yaml.documents(text.removeprefix(BYTE_ORDER_MARK))
    return None if found is None else tuple(Plain(*told, CANONICAL(told.said)) for told in found)


def handed_over(text: str) -> bytes:
    """The documents of a text in any form, for `received`. Nothing if there is something to say of one of them."""
    found = usual(text)
    try:
        return marshal.dumps([tuple(each) for each in (_in_any_form(text) if found is None else found)])
    except yaml.YamlFault:
        return b""


def received(octets: bytes) -> tuple[Plain, ...] | None:
    """What was handed over by a process of this same program. None: nothing was."""
    return tuple(Plain(*each) for each in marshal.loads(octets)) if octets else None  # noqa: S302 - our own words


def _in_any_form(text: str) -> list[Plain]:
    text = text.removeprefix(BYTE_ORDER_MARK)
    found = []
    for node in yaml.documents(text):
        said = yaml.value(node)
        found.append(Plain(node.start_mark.line + 1, text_of(node, text), said, CANONICAL(said)))
    return found


def text_of(node: Node, text: str) -> str:
    """A document's own text, indented as it is in the file."""
    own: str = text[node.start_mark.index : node.end_mark.index]
    return " " * node.start_mark.column + own
