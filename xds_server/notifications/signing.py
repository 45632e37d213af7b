"""How a receiver knows that a notification is ours: Standard Webhooks 1.0.0, symmetric.

`webhook-signature` is a list of signatures, one for each key, so that a secret is changed without a gap: both sides
have the new one before the old one goes.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256

SECRET_PREFIX = "whsec_"  # noqa: S105 - how each begins
SHORTEST, LONGEST = 24, 64
"""Bytes of a key: the specification's 192 and 512 bits."""
COMMENT = "#"
MAKE = f"make one with: echo {SECRET_PREFIX}$(openssl rand -base64 32)"


class NoSecret(Exception):
    """A text has no keys, or something that is none, and what to do."""


def keys_in(text: str) -> tuple[bytes, ...]:
    """The keys of a secret's text, one a line, the newest first. Raises `NoSecret`."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    keys = tuple(_key(number, line) for number, line in lines if line and not line.startswith(COMMENT))
    if not keys:
        raise NoSecret(f"has no key: {MAKE}")
    return keys


def _key(number: int, line: str) -> bytes:
    """What a line says is a secret, and is in no message."""
    if not line.startswith(SECRET_PREFIX):
        raise NoSecret(f"line {number} does not begin with {SECRET_PREFIX}: {MAKE}")
    try:
        key = b64decode(line.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise NoSecret(f"line {number} is not {SECRET_PREFIX} and base64: {MAKE}") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise NoSecret(f"line {number} is a key of {len(key)} bytes, not of {SHORTEST} to {LONGEST}: {MAKE}")
    return key


def signed(keys: Sequence[bytes], name: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that say which notification it is, when this try of it was made (seconds), and who says so."""
    what = f"{name}.{at}.".encode() + body
    signatures = (f"v1,{b64encode(hmac.digest(key, what, sha256)).decode()}" for key in keys)
    return {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": " ".join(signatures)}
