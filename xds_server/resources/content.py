"""Content and its version."""

import hashlib

from betterproto2 import Message

from xds_server.messages.codec import encode
from xds_server.snapshot import Resource


def digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def version(body: bytes) -> str:
    """The same content has the same version, on every replica and after every restart (R15)."""
    return digest(body).hex()


def resource(name: str, message: Message, needs: tuple[str, ...] = (), occupies: tuple[str, ...] = ()) -> Resource:
    return encoded_resource(name, encode(message), needs, occupies)


def encoded_resource(name: str, body: bytes, needs: tuple[str, ...] = (), occupies: tuple[str, ...] = ()) -> Resource:
    return Resource(name, version(body), body, needs, occupies)
