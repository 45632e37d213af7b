"""Envoy's messages as envoy-data-plane's own dataclasses, which extensions are given: readable, typed, and slow.

Everybody else builds messages with the constructors of `bridge` and does not read them.
"""

from contextlib import suppress
from dataclasses import fields

import betterproto2
from envoy_data_plane.google import protobuf as google

from xds_server.messages.descriptors import URL_PREFIX, full_name

Dataclass = betterproto2.Message


def dataclass_url(cls: object) -> str | None:
    """The type URL of a dataclass of a message; None of anything else."""
    if not (isinstance(cls, type) and issubclass(cls, betterproto2.Message)):
        return None
    try:
        return URL_PREFIX + full_name(cls)
    except KeyError:
        return None


def warm_up(cls: type[Dataclass]) -> None:
    """The first message of a type takes up to half a second, in which pydantic learns it."""
    bytes(cls.parse(bytes(cls())))


def explore(value: object) -> None:
    """Do all that can be done with a message, in all its depth, for the same reason."""
    match value:
        case google.Any():
            with suppress(TypeError):  # a type whose module nobody has imported
                explore(value.unpack())
        case betterproto2.Message():
            bytes(value)
            for field in fields(value):  # type: ignore[arg-type] # its metaclass hides that it is a dataclass
                explore(getattr(value, field.name))
        case list():
            for each in value:
                explore(each)
        case dict():
            for each in value.values():
                explore(each)
        case _:
            pass


def parsed(cls: type[Dataclass], encoded: bytes) -> Dataclass:
    return cls.parse(encoded)


def written(message: Dataclass) -> bytes:
    """Raises for a field whose value is not of its type."""
    return bytes(message)
