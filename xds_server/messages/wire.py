"""xDS responses, put together from bodies that are already encoded.

A resource is encoded once and sent to many proxies. A response is its few own fields with those bodies spliced in,
so what it costs does not depend on how complex the resources are. Many proxies are sent the same but for the nonce, so
the last few responses are kept without it. Field numbers are those of `envoy/service/discovery/v3/discovery.proto`;
texts that are empty are not written, as proto3 does it.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from xds_server.messages.fields import message_field, text_field, varint

SHARED = 8
"""Responses that are kept. One may have some megabytes."""


class Entry(NamedTuple):
    """A resource as responses carry it: the body is the encoded message, without its `Any`.

    None: there is no such thing, which is how virtual hosts are denied (R38). `aliases`: what the client asked for.
    """

    name: str
    version: str
    body: bytes | None
    aliases: tuple[str, ...] = ()


def discovery_response(type_url: str, nonce: str, version: str, bodies: Iterable[bytes]) -> bytes:
    """Encode a `DiscoveryResponse` (SotW)."""
    return but_for_the_nonce(type_url, version, tuple(bodies)) + text_field(5, nonce)


def delta_discovery_response(type_url: str, nonce: str, entries: Iterable[Entry], removed: Iterable[str]) -> bytes:
    """Encode a `DeltaDiscoveryResponse`. Its `system_version_info` is for people only (R16) and stays empty."""
    return delta_but_for_the_nonce(type_url, tuple(entries), tuple(removed)) + text_field(5, nonce)


@lru_cache(maxsize=SHARED)
def but_for_the_nonce(type_url: str, version: str, bodies: tuple[bytes, ...]) -> bytes:
    parts = [text_field(1, version)]
    for body in bodies:
        parts += _any_head(2, type_url, len(body)), body
    parts.append(text_field(4, type_url))
    return b"".join(parts)


@lru_cache(maxsize=SHARED)
def delta_but_for_the_nonce(type_url: str, entries: tuple[Entry, ...], removed: tuple[str, ...]) -> bytes:
    parts: list[bytes] = []
    for entry in entries:
        if entry.body is None:
            parts.append(message_field(2, _named(entry.name, entry.version, entry.aliases)))
        else:
            parts += _resource_head(type_url, entry.name, entry.version, len(entry.body), entry.aliases), entry.body
    parts.append(text_field(4, type_url))
    parts += (text_field(6, name) for name in removed)
    return b"".join(parts)


def empty_assignment(name: str) -> bytes:
    """Encode a `ClusterLoadAssignment` without endpoints (R33)."""
    return text_field(1, name)


@lru_cache(maxsize=1 << 15)
def _resource_head(type_url: str, name: str, version: str, size: int, aliases: tuple[str, ...]) -> bytes:
    """A delta `Resource`, as field 2 of the response, up to its body, which comes last.

    A thousand proxies that connect are sent the same resources; to frame one takes longer than to look this up.
    """
    wrapped = _any_head(2, type_url, size)
    head = _named(name, version, aliases) + wrapped
    return _head(2, len(head) + size) + head


def _named(name: str, version: str, aliases: tuple[str, ...]) -> bytes:
    return text_field(1, version) + text_field(3, name) + b"".join(message_field(4, each.encode()) for each in aliases)


@lru_cache(maxsize=1 << 10)
def _any_head(number: int, type_url: str, size: int) -> bytes:
    """Field `number`, an `Any`, up to its body."""
    head = text_field(1, type_url) + _head(2, size)
    return _head(number, len(head) + size) + head


def _head(number: int, size: int) -> bytes:
    """Tag and length of a length-delimited field; every field number here fits in one byte."""
    return bytes((number << 3 | 2,)) + varint(size)
