"""Messages to bytes and to JSON, and back.

Encoding is deterministic: equal messages have equal bytes, map order included, so that content can be hashed (R15).
"""

import json
from typing import Any, TypeVar

import betterproto2
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from xds_server.messages import google
from xds_server.messages.bridge import POOL, upb_class
from xds_server.messages.descriptors import URL_PREFIX

FIRST = ("@type", "name")

T = TypeVar("T", bound=betterproto2.Message)


def type_url(cls: type[betterproto2.Message]) -> str:
    return f"{URL_PREFIX}{upb_class(cls).DESCRIPTOR.full_name}"


def encode(message: betterproto2.Message) -> bytes:
    upb: Any = message
    encoded: bytes = upb.SerializeToString(deterministic=True)
    return encoded


def decode(cls: type[betterproto2.Message], encoded: bytes) -> Any:
    """A message of upb: what is absent reads as empty, and durations and wrappers are messages."""
    return upb_class(cls).FromString(encoded)


def pack(message: betterproto2.Message) -> google.Any:
    """The message with its type beside it, as `typed_config` carries it."""
    upb: Any = message
    return google.Any(type_url=URL_PREFIX + upb.DESCRIPTOR.full_name, value=encode(message))


def to_json(url: str, encoded: bytes) -> dict[str, Any]:
    """The message of that type as Envoy's documentation writes it. Any message of Envoy is known, packed ones too.

    Keys are in an order of their own, names first: a map has none, and what is printed twice shall be the same.
    """
    cls = GetMessageClass(POOL.FindMessageTypeByName(url.removeprefix(URL_PREFIX)))
    text = json_format.MessageToJson(cls.FromString(encoded), preserving_proto_field_name=True, descriptor_pool=POOL)
    document: dict[str, Any] = json.loads(text, object_pairs_hook=_ordered)
    return document


def _ordered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(sorted(pairs, key=lambda pair: (pair[0] not in FIRST, pair[0])))


def from_json(cls: type[T], document: dict[str, Any]) -> T:
    message: T = json_format.ParseDict(document, upb_class(cls)(), descriptor_pool=POOL)
    return message
