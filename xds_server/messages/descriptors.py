"""Envoy's definitions, read from envoy-data-plane's dataclasses and written as protobuf descriptors.

Each protobuf package becomes one file, made when the pool first needs it. Packages never depend on each other in a
circle: Envoy's API is compiled to Go too, which forbids it. The files of `google.protobuf` are protobuf's own, because
its well-known types (and their JSON) are recognised by them.

A dataclass is flat (`MatcherOnMatch`) where its message is nested (`Matcher.OnMatch`); the message pool knows the real
name. Of an enum only the names of its values ever show (in JSON), so it keeps its flat name, as a scope of its own.
"""

import dataclasses
import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar, get_args, get_type_hints

import betterproto2
from betterproto2 import FieldMetadata
from envoy_data_plane.message_pool import default_message_pool
from google.protobuf import any_pb2, duration_pb2, empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

T = TypeVar("T")

URL_PREFIX = "type.googleapis.com/"

_DATACLASSES = "envoy_data_plane."
_ENUM = "Enum"
_GOOGLE = "google.protobuf."
_GOOGLE_FILES = {
    module.DESCRIPTOR.name: module.DESCRIPTOR
    for module in (any_pb2, duration_pb2, empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
}
_GOOGLE_FILE_OF: dict[str, str] = {
    _GOOGLE + name: file.name
    for file in _GOOGLE_FILES.values()
    for name in (*file.message_types_by_name, *file.enum_types_by_name)
}


def full_name(cls: type[betterproto2.Message]) -> str:
    """The name that Envoy knows a message by: `xds.type.matcher.v3.Matcher.OnMatch`."""
    return default_message_pool.type_to_url[cls].removeprefix(URL_PREFIX)


class Definitions:
    """What a `DescriptorPool` asks for every file and symbol that it has not seen yet. `KeyError`: there is none."""

    def FindFileByName(self, name: str) -> FileDescriptorProto:  # noqa: N802 - the pool calls it so
        google = _GOOGLE_FILES.get(name)
        return FileDescriptorProto.FromString(google.serialized_pb) if google else _package(name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptorProto:  # noqa: N802 - the pool calls it so
        return self.FindFileByName(_file_of(symbol))


def _file_of(symbol: str) -> str:
    if symbol.startswith(_GOOGLE):
        return _GOOGLE_FILE_OF[symbol]
    package = re.match(r"[a-z0-9_.]+(?=\.[A-Z])", symbol)
    if not package:
        raise KeyError(symbol)
    return package[0]


def _package(package: str) -> FileDescriptorProto:
    file = FileDescriptorProto(name=package, package=package, syntax="proto3")
    messages: dict[str, DescriptorProto] = {}
    for path, cls in sorted(_messages(package).items()):  # a parent sorts before what it nests
        parent, _, name = path.rpartition(".")
        siblings = messages[parent].nested_type if parent else file.message_type
        messages[path] = siblings.add(name=name)
        _describe(cls, messages[path])
    for enum in _defined_in(package, betterproto2.Enum):
        _describe_enum(enum, file.message_type.add(name=enum.__name__))
    used = {_file_of(symbol) for message in file.message_type for symbol in _symbols(message)}
    file.dependency.extend(sorted(used - {package}))
    return file


def _messages(package: str) -> dict[str, type[betterproto2.Message]]:
    return {full_name(cls).removeprefix(f"{package}."): cls for cls in _defined_in(package, betterproto2.Message)}


def _defined_in(package: str, kind: type[T]) -> Iterable[type[T]]:
    try:
        module = importlib.import_module(_DATACLASSES + package)
    except ModuleNotFoundError:
        raise KeyError(package) from None
    members = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, kind))
    return [member for member in members if member.__module__ == module.__name__]


def _symbols(message: DescriptorProto) -> Iterator[str]:
    for field in message.field:
        if field.type_name:
            yield field.type_name.removeprefix(".")
    for nested in message.nested_type:
        yield from _symbols(nested)


def _describe(cls: type[betterproto2.Message], message: DescriptorProto) -> None:
    hints = get_type_hints(cls, vars(sys.modules[cls.__module__]))
    oneofs: dict[str, int] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type] # its metaclass hides that it is a dataclass
        meta = FieldMetadata.get(field)
        described = message.field.add(name=field.name, number=meta.number)
        types = get_args(hints[field.name]) or (hints[field.name],)
        if meta.map_meta:
            described.type_name = f".{full_name(cls)}.{_add_entry(message, field.name, meta.map_meta, types)}"
            described.type = FieldDescriptorProto.TYPE_MESSAGE
        else:
            _set_type(described, meta, types[0])
        if meta.repeated or meta.map_meta:
            described.label = FieldDescriptorProto.LABEL_REPEATED
        if meta.group:
            described.oneof_index = oneofs.setdefault(meta.group, len(oneofs))
    for oneof in oneofs:
        message.oneof_decl.add(name=oneof)


def _add_entry(message: DescriptorProto, field: str, parts: Iterable[FieldMetadata], types: Iterable[type]) -> str:
    """A map is a list of entries, whose type has a name that protobuf prescribes."""
    entry = message.nested_type.add(name="".join(word.capitalize() for word in field.split("_")) + "Entry")
    entry.options.map_entry = True
    for name, meta, of in zip(("key", "value"), parts, types, strict=True):
        _set_type(entry.field.add(name=name, number=meta.number), meta, of)
    return entry.name


def _set_type(field: FieldDescriptorProto, meta: FieldMetadata, of: type) -> None:
    field.label = FieldDescriptorProto.LABEL_OPTIONAL
    field.type = FieldDescriptorProto.Type.Value(f"TYPE_{meta.proto_type.upper()}")
    if issubclass(of, betterproto2.Enum):
        field.type_name = f".{_enum_name(of)}"
    elif meta.proto_type == betterproto2.TYPE_MESSAGE:
        field.type_name = f".{full_name(meta.unwrap() if meta.unwrap else of)}"


def _enum_name(cls: type[betterproto2.Enum]) -> str:
    flat = f"{cls.__module__.removeprefix(_DATACLASSES)}.{cls.__name__}"
    return flat if flat in _GOOGLE_FILE_OF else f"{flat}.{_ENUM}"


def _describe_enum(cls: type[betterproto2.Enum], scope: DescriptorProto) -> None:
    described = scope.enum_type.add(name=_ENUM)
    for member in cls:
        described.value.add(name=member.proto_name or member.name, number=member.value)
