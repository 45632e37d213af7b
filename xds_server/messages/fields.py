"""The wire format of single fields, so that what is already encoded can be put together without encoding it again."""


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


VARINTS = tuple(map(_varint, range(1 << 14)))
"""All of one and two bytes: nearly every tag and length there is, and to make one takes longer than to look it up."""


SHORT = len(VARINTS)


def varint(value: int) -> bytes:
    return VARINTS[value] if value < SHORT else _varint(value)


def number_field(number: int, value: int) -> bytes:
    """An integer or an enum; zero is absent, as in proto3."""
    return VARINTS[number << 3] + varint(value) if value else b""


def message_field(number: int, body: bytes) -> bytes:
    """A length-delimited field: a message that is already encoded, a string or bytes."""
    size = len(body)
    return VARINTS[number << 3 | 2] + (VARINTS[size] if size < SHORT else _varint(size)) + body


def text_field(number: int, text: str) -> bytes:
    """A string field; empty is absent, as in proto3."""
    if not text:
        return b""
    body = text.encode()
    size = len(body)
    return VARINTS[number << 3 | 2] + (VARINTS[size] if size < SHORT else _varint(size)) + body


def text_in(body: bytes, text: str) -> bool:
    """Whether an encoded message says exactly this somewhere as a string: it stands behind its length."""
    said = text.encode()
    return varint(len(said)) + said in body
