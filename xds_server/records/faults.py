"""What pydantic says about a field, in plain words and with what to do."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml.nodes import Node

from xds_server.domain.problems import Place, Problem, Reason
from xds_server.records import values, yaml
from xds_server.records.values import FORM, PATTERNS, WEIGHTS

SHOWN = 100
"""Faults of one document. Who has more has one cause, and each is looked for in the whole document."""
KEY = "[key]"
"""How pydantic's path names the key of a mapping instead of its value."""
SCALARS = (bool, int, float)
NO_STRING = "string_type"
WORDS = {
    "bool_type": ("must be true or false", "Write true or false, without quotes"),
    "int_type": ("must be a whole number", "Write a whole number, without quotes"),
    "int_from_float": ("must be a whole number", "Write a whole number"),
    "float_type": ("must be a number", "Write a number, without quotes"),
    "finite_number": ("must be a number", "Write a number"),
    NO_STRING: ("must be a string", "Write a string"),
    "tuple_type": ("must be a list", "Write a list: [...], or one item a line, each after a dash"),
    "dict_type": ("must be a mapping", "Write a mapping: name and value"),
    "model_type": ("must be a mapping", "Write its fields"),
    "missing": ("is missing", "Add it"),
}
LIMITS = {
    "greater_than_equal": "must be at least {ge:.10g}",
    "greater_than": "must be more than {gt:.10g}",
    "less_than_equal": "must be at most {le:.10g}",
    "less_than": "must be less than {lt:.10g}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length} characters long",
}


def faults(place: Place, root: Node, record: str, failed: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """The faults of a document. A list whose items are all wrong is not also said to be empty."""
    errors = failed.errors(include_url=False)
    inside = {error["loc"][:depth] for error in errors for depth in range(1, len(error["loc"]))}
    said = [each for each in errors if each["type"] != "too_short" or each["loc"] not in inside]
    for error in said[:SHOWN]:
        yield _fault(place, root, record, model, error)
    if len(said) > SHOWN:
        what = f"the record has {len(said) - SHOWN} more faults"
        yield Problem(place, Reason.INVALID_FIELD, what, "Correct the first ones and look again", record)


def _fault(place: Place, root: Node, record: str, model: type[BaseModel], error: ErrorDetails) -> Problem:
    steps = (*error["loc"], *error.get("ctx", {}).get("field", ()))
    path = tuple(step for step in steps if step != KEY and not (isinstance(step, str) and step.startswith(FORM)))
    found = yaml.find(root, path)
    what, fix = _said(error, path, found, model)
    if KEY in steps:
        what = f"as a name {what}"
    field = ".".join(map(str, path)) or "the record"
    reason = Reason.WEIGHTS if error["type"] == WEIGHTS else Reason.INVALID_FIELD
    return Problem(
        Place(place.file, place.document, found.line, ".".join(map(str, path))), reason, f"{field} {what}", fix, record
    )


def _said(error: ErrorDetails, path: yaml.FieldPath, found: yaml.Found, model: type[BaseModel]) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    if kind in WORDS:
        quote = kind == NO_STRING and isinstance(error["input"], SCALARS)
        return _quote(found) if quote else WORDS[kind]
    if kind in LIMITS:
        return LIMITS[kind].format(**context), "Change it"
    match kind:
        case "extra_forbidden":
            said = _unknown_field(path, model)
        case values.UNKNOWN_NAME:
            close = difflib.get_close_matches(context["wanted"], context["known"], 1)
            said = error["msg"], f"Did you mean {close[0]}?" if close else "Add it there, or name another"
        case "value_error":
            said = str(context["error"]), "Change it"
        case "string_pattern_mismatch":
            said = f"must be {PATTERNS[context['pattern']]}", "Change it"
        case "enum" | "literal_error":
            said = f"must be {context['expected']}", _closest(error["input"], context["expected"])
        case _:
            said = error["msg"], "Change it"
    return said


def _quote(found: yaml.Found) -> tuple[str, str]:
    """Of a number where a string belongs: the text as it was written is what to quote."""
    what, text = WORDS[NO_STRING][0], found.plain
    if text is None:
        return what, "Change it"
    return f"{what}, and YAML reads {text} as something else", f'Write it in quotes: "{text}"'


def _unknown_field(path: tuple[str | int, ...], model: type[BaseModel]) -> tuple[str, str]:
    known = sorted(_fields(path[:-1], model))
    close = difflib.get_close_matches(str(path[-1]), known, 1)
    if close:
        return "is not a field", f"Did you mean {close[0]}?"
    return "is not a field", f"Remove it; the fields here are {', '.join(known)}" if known else "Remove it"


def _fields(path: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """The field names of the model at a path, read from its JSON schema."""
    schema = model.model_json_schema(by_alias=True)
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    here: Any = schema
    for step in path:
        here = _below(_resolved(here, definitions), step, definitions)
    return list(_resolved(here, definitions).get("properties", {}))


def _below(schema: Mapping[str, Any], step: str | int, definitions: Mapping[str, Any]) -> Any:
    if isinstance(step, int):
        return schema.get("items", {})
    named = [schema.get("properties", {}).get(step), *schema.get("patternProperties", {}).values()]
    found = next((each for each in named if each), schema.get("additionalProperties", {}))
    return _resolved(found, definitions) if isinstance(found, dict) else {}


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Through references, and to the first object or array of alternatives."""
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for each in () if "properties" in schema else schema.get("anyOf", schema.get("allOf", ())):
        found = _resolved(each, definitions)
        if "properties" in found or "items" in found:
            return found
    return schema


def _closest(value: object, expected: str) -> str:
    """`expected` is pydantic's list: `'a', 'b' or 'c'`."""
    known = re.findall("'([^']*)'", expected)
    if len(known) == 1:
        return f"Write {known[0]}"
    close = difflib.get_close_matches(str(value), known, 1)
    return f"Did you mean {close[0]}?" if close else "Write one of them"
