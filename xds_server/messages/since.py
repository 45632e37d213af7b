"""From which Envoy on a message is understood whole.

An Envoy drops a field that it does not know, silently: a route whose only condition is such a field catches everything.
`since.json` lists what each minor version brought (`make since`, checked against the binaries). What this server makes
of records needs none of it; what extensions make of resources may.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from xds_server.domain.versions import OLDEST, Minor, minor
from xds_server.messages.bridge import POOL
from xds_server.messages.descriptors import URL_PREFIX

TABLE: dict[str, Minor] = {
    name: minor(version)
    for version, names in json.loads(files("xds_server.messages").joinpath("since.json").read_text("utf-8")).items()
    for name in names
}
"""The version of Envoy that brought a message, a field (`Message.field`) or an enum's value (`Message.field=VALUE`)."""

ANY = "google.protobuf.Any"


class News(NamedTuple):
    """Something that Envoys before `since` do not know."""

    since: Minor
    name: str


@lru_cache(maxsize=1 << 8)
def news(type_url: str, encoded: bytes) -> tuple[News, ...]:
    """All that the message has and that the oldest supported Envoy does not know, newest first."""
    try:
        message = _parsed(type_url, encoded)
        name = message.DESCRIPTOR.full_name
        own = {News(TABLE[name], name)} if name in TABLE else set()
        return tuple(sorted(own | _in(message), reverse=True))
    except (DecodeError, KeyError):
        return ()  # no Envoy understands it either: it refuses the resource


def since(type_url: str, encoded: bytes) -> Minor:
    """The oldest Envoy that knows all that the message has."""
    found = news(type_url, encoded)
    return found[0].since if found else OLDEST


def _parsed(type_url: str, encoded: bytes) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(type_url.removeprefix(URL_PREFIX))).FromString(encoded)


def _in(message: Any) -> set[News]:
    """Of what is in a new field no more is said. What is packed in an `Any` counts, unless nobody knows its type."""
    name = message.DESCRIPTOR.full_name
    if name == ANY:
        return set(news(message.type_url, message.value))
    found: set[News] = set()
    for field, value in message.ListFields():
        said = [each for each in _said(f"{name}.{field.name}", field, value) if each in TABLE]
        found.update(News(TABLE[each], each) for each in said)
        for nested in () if said else _nested(field, value):
            found |= _in(nested)
    return found


def _said(name: str, field: FieldDescriptor, value: Any) -> Iterator[str]:
    yield name
    if field.enum_type is not None:
        for number in value if field.is_repeated else (value,):
            known = field.enum_type.values_by_number.get(number)
            yield f"{name}={known.name if known else number}"


def _nested(field: FieldDescriptor, value: Any) -> Iterator[Any]:
    if field.message_type is None:
        return
    if field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is not None:
            yield from value.values()
    elif field.is_repeated:
        yield from value
    else:
        yield value
