"""Message types that mypy knows as envoy-data-plane's dataclasses and that upb builds and encodes.

betterproto2 needs 3 ms to encode a small virtual host, upb 2 µs. So the dataclass is only what a type checker sees: the
constructor that stands under its name at run time takes the same arguments and returns a message of upb, whose class
comes from a pool that knows every definition of envoy-data-plane and builds a package when it is first used.

upb converts what it can (`timedelta`, `datetime`, enums, lists, dicts, None for absent). Two things are left to us: a
plain value for a wrapper such as `UInt32Value`, and refusing two members of one oneof, of which upb keeps the last.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import betterproto2
from google.protobuf import wrappers_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from typing_extensions import override

from xds_server.messages.descriptors import Definitions, full_name

POOL = DescriptorPool(Definitions())

_WRAPPERS = wrappers_pb2.DESCRIPTOR.name


class Shape(NamedTuple):
    """What a constructor knows of its message: upb's class, which fields are wrappers, which are members of oneofs."""

    build: type[Message]
    wrappers: frozenset[str]
    choices: frozenset[str]
    oneofs: tuple[frozenset[str], ...]


class Bridge(type):
    """The type of the message types that we hand out. Calling one builds a message of upb."""

    full_name: str
    shape: Shape | None = None

    @override
    def __call__(cls, *arguments: Any, **fields: Any) -> Message:
        build, wrappers, choices, oneofs = cls.shape or cls.learn()
        if wrappers:
            for name in wrappers.intersection(fields):
                if fields[name] is not None:
                    fields[name] = {"value": fields[name]}
        if choices and len(fields) > 1 and len(choices.intersection(fields)) > 1:
            _refuse_rivals(oneofs, fields)
        return build(*arguments, **fields)

    @override
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.learn().build)

    def learn(cls) -> Shape:
        """The shape of the message, read from the pool when it is first needed: importing a type costs nothing."""
        if cls.shape is None:
            descriptor = POOL.FindMessageTypeByName(cls.full_name)
            oneofs = tuple(frozenset(field.name for field in oneof.fields) for oneof in descriptor.oneofs)
            cls.shape = Shape(
                build=GetMessageClass(descriptor),
                wrappers=frozenset(field.name for field in descriptor.fields if _is_wrapper(field)),
                choices=frozenset().union(*oneofs),
                oneofs=oneofs,
            )
        return cls.shape


def bridge(names: dict[str, Any]) -> None:
    """Replace every dataclass in a module's names by the constructor of the same message. Enums stay what they are."""
    for name, value in names.items():
        if isinstance(value, type) and issubclass(value, betterproto2.Message):
            names[name] = _bridged(full_name(value))


def upb_class(cls: type[betterproto2.Message]) -> Any:
    """upb's own class of a bridged type, without the constructor's checks: for paths that are hot."""
    assert isinstance(cls, Bridge), f"{cls} is not bridged"
    return cls.learn().build


@cache
def _bridged(name: str) -> Bridge:
    return Bridge(name.rpartition(".")[2], (), {"full_name": name})


def _is_wrapper(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and kind.file.name == _WRAPPERS and not field.is_repeated


def _refuse_rivals(oneofs: Iterable[frozenset[str]], fields: Mapping[str, object]) -> None:
    for members in oneofs:
        rivals = sorted(name for name in members if fields.get(name) is not None)
        if len(rivals) > 1:
            raise ValueError(f"only one of {', '.join(rivals)} can be set")
