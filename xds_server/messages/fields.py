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


def varint(value: int) -> bytes:
    return VARINTS[value] if value < len(VARINTS) else _varint(value)


def message_field(number: int, body: bytes) -> bytes:
    """A length-delimited field: a message that is already encoded, a string or bytes."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def text_field(number: int, text: str) -> bytes:
    """A string field; empty is absent, as in proto3."""
    return message_field(number, text.encode()) if text else b""
