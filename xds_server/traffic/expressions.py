"""RE2 expressions for what a matcher cannot ask directly: slots in hex, cookies, query parameters.

Matchers see request headers only, whole, and match the full value. So a cookie is an expression on the `cookie` header,
where two lines arrive joined by a comma, and a query parameter is one on `:path`, where every character may come
percent-encoded.
"""

import re
from functools import lru_cache

HEX = "0123456789abcdef"
SLOT_DIGITS = 4
ANY_SLOT = "[0-9a-f]{4}"
UUID_REST = "[-0-9a-f]{32}"
COOKIE_START = r"(?:.*[;,]\s*)?"
COOKIE_END = r"\s*(?:[;,].*)?"
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@lru_cache(maxsize=4096)
def slots(low: int, high: int) -> str:
    """Four hex digits whose value is at least `low` and less than `high`. The range is not empty."""
    assert 0 <= low < high <= 1 << (4 * SLOT_DIGITS)
    alternatives = list(_blocks(low, high))
    return alternatives[0] if len(alternatives) == 1 else f"(?:{'|'.join(alternatives)})"


def _blocks(low: int, high: int) -> list[str]:
    """Cut the range into runs of whole blocks of 16**k: at most two runs for each digit, each one expression."""
    found = []
    while low < high:
        size = 0
        while size < SLOT_DIGITS and low % 16 ** (size + 1) == 0 and low + 16 ** (size + 1) <= high:
            size += 1
        block = 16**size
        first = low // block % 16
        last = first
        while last < 15 and low + 2 * block <= high:
            low += block
            last += 1
        low += block
        found.append(_block(low - block, size, first, last))
    return found


def _block(low: int, size: int, first: int, last: int) -> str:
    fixed = f"{low:04x}"[: SLOT_DIGITS - size]
    free = "[0-9a-f]" if size == 1 else f"[0-9a-f]{{{size}}}" if size else ""
    if not fixed:
        return free
    if first == last:
        return fixed + free
    return fixed[:-1] + f"[{HEX[first]}-{HEX[last]}]" + free


def request_slot(digits: str) -> str:
    """An `x-request-id` whose slot is one of `digits`."""
    return digits + ".*"


def cookie_user(name: str, digits: str = ANY_SLOT) -> str:
    """A `cookie` header with a user id of ours whose slot is one of `digits`."""
    return f"{COOKIE_START}{re.escape(name)}={digits}{UUID_REST}{COOKIE_END}"


def cookie_exact(name: str, value: str) -> str:
    return f'{COOKIE_START}{re.escape(name)}="?{_literal(value)}"?{COOKIE_END}'


def cookie_prefix(name: str, value: str) -> str:
    return f'{COOKIE_START}{re.escape(name)}="?{_literal(value)}.*'


def cookie_present(name: str) -> str:
    return f"{COOKIE_START}{re.escape(name)}=.*"


def query_exact(name: str, value: str) -> str:
    start = f"{_parameter(name)}={_encoded(value)}" if value else f"{_parameter(name)}=?"
    return start + "(?:[&#].*)?"


def query_prefix(name: str, value: str) -> str:
    return f"{_parameter(name)}={_encoded(value)}.*"


def query_present(name: str) -> str:
    return f"{_parameter(name)}(?:[=&#].*)?"


def _parameter(name: str) -> str:
    return rf"[^?#]*\?(?:[^#]*&)?{_encoded(name)}"


def _encoded(text: str) -> str:
    """The text, each of its bytes plain or percent-encoded."""
    return "".join(_encoded_byte(byte) for byte in text.encode())


def _encoded_byte(byte: int) -> str:
    escape = "%" + "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{byte:02x}")
    char = chr(byte)
    if byte >= 0x80 or char in "%&#+" or byte <= 0x20:
        return rf"(?:{escape}|\+)" if char == " " else escape
    return f"(?:{_literal(char)}|{escape})"


def _literal(text: str) -> str:
    """RE2 takes no escaped letters or digits, and Python's `re.escape` writes none."""
    return re.escape(text)
