"""Random messages, described once and built twice: by envoy-data-plane's dataclass and by our constructor."""

import dataclasses
import datetime
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, get_args, get_type_hints

import betterproto2
from betterproto2 import FieldMetadata
from envoy_data_plane.message_pool import default_message_pool
from google.protobuf.descriptor import Descriptor

from xds_server.messages import envoy, extensions, google, xds
from xds_server.messages.bridge import POOL, Bridge, bridge
from xds_server.messages.descriptors import URL_PREFIX

MessageType = type[betterproto2.Message]


@dataclass(frozen=True)
class Described:
    """A message as its type and arguments, in which other messages are described too."""

    cls: MessageType
    arguments: Mapping[str, Any]

    def by(self, constructor: Callable[[MessageType], Callable[..., Any]]) -> Any:
        """The message, and each one inside, built by what `constructor` gives for its dataclass."""
        return constructor(self.cls)(**{name: _build(value, constructor) for name, value in self.arguments.items()})


def _build(value: Any, constructor: Callable[[MessageType], Callable[..., Any]]) -> Any:
    match value:
        case Described():
            return value.by(constructor)
        case list():
            return [_build(item, constructor) for item in value]
        case dict():
            return {key: _build(item, constructor) for key, item in value.items()}
        case _:
            return value


def dataclass_itself(cls: MessageType) -> MessageType:
    return cls


def bridged(cls: MessageType) -> MessageType:
    names: dict[str, Any] = {"cls": cls}
    bridge(names)
    found: MessageType = names["cls"]
    return found


def roots() -> Iterator[Descriptor]:
    for module in (envoy, extensions, google, xds):
        for value in vars(module).values():
            if isinstance(value, Bridge):
                yield POOL.FindMessageTypeByName(value.full_name)


def types_in_use() -> list[MessageType]:
    """The dataclass of every message type that can be part of a message that we build."""
    found: dict[str, Descriptor] = {}
    todo = list(roots())
    while todo:
        descriptor = todo.pop()
        if descriptor.full_name not in found:
            found[descriptor.full_name] = descriptor
            todo += [field.message_type for field in descriptor.fields if field.message_type]
    names = sorted(name for name, descriptor in found.items() if not descriptor.GetOptions().map_entry)
    return [default_message_pool.url_to_type[URL_PREFIX + name] for name in names]


def arbitrary(cls: MessageType, random: Random, depth: int = 1) -> Described:
    """A message with about half of its fields set, at most one of each oneof, and messages inside to `depth`."""
    hints = get_type_hints(cls, vars(sys.modules[cls.__module__]))
    arguments: dict[str, Any] = {}
    taken: set[str] = set()
    fields = list(dataclasses.fields(cls))  # type: ignore[arg-type] # its metaclass hides that it is a dataclass
    random.shuffle(fields)
    for field in fields:
        meta = FieldMetadata.get(field)
        if meta.group in taken or random.random() < 0.5:
            continue
        if meta.group:
            taken.add(meta.group)
        types = get_args(hints[field.name]) or (hints[field.name],)
        arguments[field.name] = _field(meta, types, random, depth)
    return Described(cls, arguments)


def _field(meta: FieldMetadata, types: tuple[type, ...], random: Random, depth: int) -> Any:
    if meta.map_meta:
        key, value = meta.map_meta
        return {_value(key, types[0], random, 0): _value(value, types[1], random, depth) for _ in range(2)}
    if meta.repeated:
        return [_value(meta, types[0], random, depth) for _ in range(random.randrange(3))]
    return _value(meta, types[0], random, depth)


def _value(meta: FieldMetadata, of: type, random: Random, depth: int) -> Any:
    if issubclass(of, betterproto2.Enum):
        return random.choice(list(of))
    if issubclass(of, betterproto2.Message):
        return arbitrary(of, random, depth - 1) if depth else Described(of, {})
    if meta.unwrap:
        return _WRAPPED[meta.unwrap().__name__](random)
    return _SCALARS[meta.proto_type](random)


def _integer(low: int, high: int) -> Callable[[Random], int]:
    return lambda random: random.choice((low, high, 0, 1, random.randint(low, high)))


def _double(random: Random) -> float:
    return random.choice((0.0, 0.1, -1.5, 1e300, random.random()))


def _float(random: Random) -> float:
    single: tuple[float] = struct.unpack("<f", struct.pack("<f", random.uniform(-1000, 1000)))
    return single[0]


def _text(random: Random) -> str:
    return random.choice(("", "a", "x" * 200, "é€😀", "\x00\n", str(random.random())))


def _duration(random: Random) -> datetime.timedelta:
    """Never negative: no field of Envoy is, and betterproto2 writes those wrongly."""
    return datetime.timedelta(random.randrange(10_000), random.randrange(2), random.randrange(10**6))


def _instant(random: Random) -> datetime.datetime:
    return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + _duration(random)


_INT32, _INT64 = _integer(-(2**31), 2**31 - 1), _integer(-(2**63), 2**63 - 1)
_UINT32, _UINT64 = _integer(0, 2**32 - 1), _integer(0, 2**64 - 1)

_SCALARS: dict[str, Callable[[Random], Any]] = {
    "bool": lambda random: random.random() < 0.5,
    "bytes": lambda random: random.randbytes(random.choice((0, 3, 300))),
    "double": _double,
    "fixed32": _UINT32,
    "fixed64": _UINT64,
    "float": _float,
    "int32": _INT32,
    "int64": _INT64,
    "sfixed32": _INT32,
    "sfixed64": _INT64,
    "sint32": _INT32,
    "sint64": _INT64,
    "string": _text,
    "uint32": _UINT32,
    "uint64": _UINT64,
}
_WRAPPED: dict[str, Callable[[Random], Any]] = {
    "BoolValue": _SCALARS["bool"],
    "BytesValue": _SCALARS["bytes"],
    "DoubleValue": _double,
    "Duration": _duration,
    "FloatValue": _float,
    "Int32Value": _INT32,
    "Int64Value": _INT64,
    "StringValue": _text,
    "Timestamp": _instant,
    "UInt32Value": _UINT32,
    "UInt64Value": _UINT64,
}
