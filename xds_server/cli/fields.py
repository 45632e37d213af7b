"""Every field of every record, as a page and as a table: read from the models, as `docs/fields.md` is."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from xds_server.records.models import KINDS
from xds_server.records.schema import ENVOY, NOT_YET, Json, described, not_yet, references

TITLE = """\
# Fields

Every field of every record: generated from the models that read them, by `xdsctl fields -o markdown`.
[Records](records.md) says how they act together; `manifests/schema` has the same for editors ([how](editors.md)).

A **bold** field must be written.
*Not in force yet*: the field is read and validated, `xdsctl check` warns of it, and nothing acts on it.
A default of `-` means that an absent field says nothing; what follows from that is in its description.
The Envoy field is what the value becomes, or what is made from it; without one it is this server's own.
"""
HEAD = "| field | type | default | example | Envoy | what it is |\n|---|---|---|---|---|---|\n"
NONE = "-"
INDENT = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A field: what an operator may write, and what it means.

    `not_in_force_yet`: what holds instead, where nothing acts on the field; else empty.
    """

    name: str
    required: bool
    type: str
    default: str
    example: str
    envoy: str
    what: str
    not_in_force_yet: str


@dataclass(frozen=True, slots=True)
class Section:
    """A kind, or a part of one: its fields, or the words that it may be."""

    name: str
    what: str
    rows: tuple[Row, ...]
    words: tuple[str, ...]


def sections(kind: str) -> tuple[Section, ...]:
    """The kind, then every part that is written in it, in the order in which a reader meets them."""
    definitions = described()
    acting = {name for each in KINDS for name in _in_order(each, definitions, acting=True)}
    return tuple(_section(name, definitions, acting) for name in _in_order(kind, definitions))


def _in_order(name: str, definitions: Json, *, acting: bool = False) -> list[str]:
    """Each part right after the first that names it; `acting`: only by fields that are in force."""
    found: list[str] = []
    todo = [name]
    while todo:
        here = todo.pop()
        if here not in found:
            found.append(here)
            properties = definitions[here].get("properties", {}).values()
            fields = [each for each in properties if not (acting and NOT_YET in each)]
            todo += reversed([part for field in fields for part in sorted(references(field))])
    return found


def _section(name: str, definitions: Json, acting: Set[str]) -> Section:
    found = definitions[name]
    required = found.get("required", ())
    rows = tuple(_row(field, said, required, definitions) for field, said in found.get("properties", {}).items())
    what = found.get("description", "") if name in acting else f"Not in force yet. {found.get('description', '')}"
    return Section(name, what, rows, tuple(found.get("enum", ())))


def _row(name: str, said: Json, required: Sequence[str], definitions: Json) -> Row:
    return Row(
        name=name,
        required=name in required,
        type=type_of(said),
        default=_value(said["default"]) if "default" in said else NONE,
        example=_value(said["examples"][0]) if "examples" in said else NONE,
        envoy=said.get(ENVOY, ""),
        what=said.get("description") or _what_of_its_type(said, definitions),
        not_in_force_yet=said.get(NOT_YET, ""),
    )


def _what_of_its_type(said: Json, definitions: Json) -> str:
    """Pydantic leaves a description out that is the same as its type's."""
    part = min(references(said), default="")
    return str(definitions[part].get("description", "")) if part else ""


def type_of(said: Mapping[str, Any]) -> str:
    """In an operator's words: `list of host`, `whole number, 1 to 65535`, `[Sticky]`."""
    if "$ref" in said:
        return f"[{said['$ref'].rpartition('/')[2]}]"
    for several in ("anyOf", "oneOf"):
        if several in said:
            return " or ".join(type_of(each) for each in said[several])
    if "const" in said:
        return f"`{said['const']}`"
    return said["title"] if "title" in said else _plain(said)


def _plain(said: Mapping[str, Any]) -> str:
    match said.get("type"):
        case "array":
            return f"list of {type_of(said['items'])}"
        case "object":
            [named] = said.get("patternProperties", {"": said.get("additionalProperties")}).values()
            return f"map from name to {type_of(named)}"
        case "integer":
            return "whole number" + _range(said)
        case "number":
            return "number" + _range(said)
        case "boolean":
            return "true or false"
        case other:
            return str(other)


def _range(said: Mapping[str, Any]) -> str:
    words = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
    limits = [text.format(said[name]) for name, text in words.items() if name in said]
    return f", {' '.join(limits)}" if limits else ""


def _value(value: Any) -> str:
    """As YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return value if isinstance(value, str) and _is_plain(value) else json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether every reader of YAML takes it for this text without quotes."""
    try:
        return bool(yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return False


def fields_data(kinds: Iterable[str]) -> dict[str, Any]:
    return {
        each.name: {"what": each.what, **({"words": list(each.words)} if each.words else {"fields": _rows_data(each)})}
        for each in _told_once(kinds)
    }


def _rows_data(section: Section) -> list[dict[str, Any]]:
    return [{field.name: getattr(row, field.name) for field in dataclass_fields(row)} for row in section.rows]


def print_fields(kinds: Iterable[str]) -> None:
    console = Console(highlight=False)
    for section in _told_once(kinds):
        console.print(Text(section.name, "bold"))
        said = f"{section.what}\n\nOne of {', '.join(section.words)}." if section.words else section.what
        for text in (Text(_flowing(said)), *map(_text, section.rows)):
            for line in text.wrap(console, console.width - INDENT):
                line.rstrip()
                console.print(Text(" " * INDENT if line else "") + line)
            console.print()


def _text(row: Row) -> Text:
    found = Text.assemble((row.name, "bold cyan"), "  ", row.type.translate(str.maketrans("", "", "[]`")))
    if row.required:
        found.append("  required", "bold")
    elif row.default != NONE:
        found.append(f"  default: {row.default}")
    if row.not_in_force_yet:
        found.append(f"\n{not_yet(row.not_in_force_yet)}", "yellow")
    found.append(f"\n{row.what}")
    if row.example != NONE:
        found.append(f"\nexample: {row.example}", "dim")
    return found.append(f"\nEnvoy: {row.envoy}" if row.envoy else "", "dim")


def _flowing(text: str) -> str:
    """Paragraphs without the line breaks of a docstring."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def page(kinds: Iterable[str] = tuple(KINDS)) -> str:
    """All of `docs/fields.md`, or a part."""
    listed = list(kinds)
    parts = [TITLE, "\n".join(f"- [{kind}](#{kind.lower()})" for kind in listed) + "\n"]
    parts += [_markdown(each, "##" if each.name in listed else "###") for each in _told_once(listed)]
    return "\n".join(parts)


def _told_once(kinds: Iterable[str]) -> Iterator[Section]:
    told: set[str] = set()
    for section in (each for kind in kinds for each in sections(kind)):
        if section.name not in told:
            told.add(section.name)
            yield section


def _markdown(section: Section, level: str) -> str:
    said = f"{level} {section.name}\n\n{_flowing(section.what)}\n\n"
    if section.words:
        return said + "One of " + ", ".join(f"`{word}`" for word in section.words) + ".\n"
    return said + HEAD + "".join(f"| {' | '.join(_cells(row))} |\n" for row in section.rows)


def _cells(row: Row) -> Iterator[str]:
    yield f"**`{row.name}`**" if row.required else f"`{row.name}`"
    yield _linked(row.type)
    yield "required" if row.required else _code(row.default)
    yield _code(row.example)
    yield ", ".join(f"`{each}`" for each in row.envoy.split(", ") if each)
    marked = f"*Not in force yet.* {row.not_in_force_yet}. " if row.not_in_force_yet else ""
    yield f"{marked}{row.what}".replace("|", "\\|")


def _code(text: str) -> str:
    return text if text == NONE else f"`{text}`".replace("|", "\\|")


def _linked(text: str) -> str:
    """`[Sticky]` becomes a link to its section."""
    words = text.split("[")
    return words[0] + "".join(
        f"[{name}](#{name.lower()}){rest}" for name, _, rest in (w.partition("]") for w in words[1:])
    )
