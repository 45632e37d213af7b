"""The records as JSON Schema (draft 2020-12): what editors check and complete, and what `docs/fields.md` is made from.

`manifests/schema` holds them; `xdsctl schema` prints them.

A schema says what can be said of one field or one object. What needs more (weights that sum to 100, a regular
expression that RE2 takes, a deployment that exists) is left to `xdsctl check`: no schema refuses what a server accepts.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, cast

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema
from typing_extensions import override

from xds_server.records.later import LATER, as_written
from xds_server.records.models import API_VERSION, KINDS
from xds_server.records.values import Model, duration_text

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENVOY = "envoy"
"""Where `means` puts the Envoy field: no word of JSON Schema."""
NOT_YET = "notInForceYet"
"""What holds until a field that nothing acts on yet is in force: no word of JSON Schema."""

LIMITS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
"""What pydantic calls the limits of a number that may be absent."""

Json = dict[str, Any]


class _Records(GenerateJsonSchema):
    """Pydantic's own, with nothing said that an operator does not write: no null, no made-up title."""

    @override
    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        return self.generate_inner(schema["schema"])

    @override
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        found = super().default_schema(schema)
        if found.get("default", ...) is None:
            del found["default"]
        return found

    @override
    def dict_schema(self, schema: core_schema.DictSchema) -> Json:
        found = super().dict_schema(schema)
        if "patternProperties" in found:
            found["additionalProperties"] = False
        return found

    @override
    def sort(self, value: Json, parent_key: str | None = None) -> Json:
        return value

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    @override
    def encode_default(self, dft: Any) -> Any:
        return written(dft)


def written(value: Any) -> Any:
    """A field's value as an operator writes it. A model that says only its own defaults is `{}`."""
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Model):
        return {
            field.alias or name: written(said)
            for name, field in type(value).model_fields.items()
            if (said := getattr(value, name)) != field.get_default(call_default_factory=True)
        }
    if isinstance(value, tuple):
        return [written(each) for each in value]
    return value.value if isinstance(value, StrEnum) else value


def described() -> Json:
    """Every kind and every model that a field is made of, by name.

    A field's `envoy` is what it becomes there; `notInForceYet` is said of those that nothing acts on.
    """
    pairs: list[tuple[type[Any], JsonSchemaMode]] = [(model, "validation") for model in KINDS.values()]
    _, found = models_json_schema(pairs, by_alias=True, schema_generator=_Records)
    described = cast("Json", _in_its_words(found["$defs"]))
    for model, fields in LATER.items():
        for name, until_then in fields.items():
            described[model.__name__]["properties"][as_written(model, name)][NOT_YET] = until_then
    return described


def _in_its_words(found: Any) -> Any:
    if isinstance(found, list):
        return [_in_its_words(each) for each in found]
    if not isinstance(found, dict):
        return found
    limits = LIMITS if found.get("type") in ("integer", "number") else {}
    return {limits.get(name, name): _in_its_words(each) for name, each in found.items()}


def schema(kind: str = "") -> Json:
    """For documents of one kind; without one, for documents of any, told apart by `kind`."""
    definitions = {name: _for_editors(each) for name, each in described().items()}
    if kind:
        whole = definitions.pop(kind)
    else:
        whole = {
            "title": f"A record of {API_VERSION}",
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {"kind": {"enum": list(KINDS)}},
            "allOf": [_of_kind(each) for each in KINDS],
        }
    return {"$schema": DIALECT, **whole, "$defs": _reachable(whole, definitions)}


def _of_kind(kind: str) -> Json:
    named = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
    return {"if": named, "then": {"$ref": f"#/$defs/{kind}"}}


def _for_editors(found: Any) -> Any:
    """In the description, where an editor shows it: that a field is not in force yet, and last its Envoy field."""
    if isinstance(found, list):
        return [_for_editors(each) for each in found]
    if not isinstance(found, dict):
        return found
    ours = (ENVOY, NOT_YET)
    said = {name: _for_editors(each) for name, each in found.items() if name not in ours or not isinstance(each, str)}
    if (until_then := found.get(NOT_YET)) and isinstance(until_then, str):
        said["description"] = f"{not_yet(until_then)} {found.get('description', '')}".rstrip()
    if (envoy := found.get(ENVOY)) and isinstance(envoy, str):
        said["description"] = f"{found['description']} Envoy: {envoy}."
    return said


def not_yet(until_then: str) -> str:
    """What every page says of a field that nothing acts on yet."""
    return f"Not in force yet. {until_then}."


def references(found: Any) -> set[str]:
    """The names of the definitions that a schema refers to itself."""
    if isinstance(found, Mapping):
        here = {found["$ref"].rpartition("/")[2]} if isinstance(found.get("$ref"), str) else set()
        return here.union(*(references(each) for each in found.values()))
    return set().union(*(references(each) for each in found)) if isinstance(found, list) else set()


def _reachable(whole: Json, definitions: Json) -> Json:
    found: set[str] = set()
    todo = references(whole)
    while todo:
        found |= todo
        todo = set().union(*(references(definitions[name]) for name in todo)) - found
    return {name: each for name, each in definitions.items() if name in found}
