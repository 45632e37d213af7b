"""What Envoy is told for its access logs alone: it acts on none of it."""

from collections.abc import Mapping

from xds_server.domain import names
from xds_server.messages.fields import message_field, text_field

VIRTUAL_HOST_METADATA = 24
"""The field number of `VirtualHost.metadata`, the last of its fields that we use."""


KEY, VALUE = 1, 2
"""Field numbers of an entry of a map."""
FILTER_METADATA, FIELDS, STRING_VALUE = 1, 1, 3
"""Field numbers of `Metadata`, `Struct` and `Value`."""


def metadata(said: Mapping[str, str]) -> bytes:
    """An encoded `Metadata`. Every cluster and virtual host has one, so it is put together as fields."""
    fields = [
        message_field(FIELDS, text_field(KEY, name) + message_field(VALUE, message_field(STRING_VALUE, value.encode())))
        for name, value in sorted(said.items())
    ]
    entry = text_field(KEY, names.METADATA) + message_field(VALUE, b"".join(fields))
    return message_field(FILTER_METADATA, entry)


def virtual_host_metadata(release: names.Ref) -> bytes:
    """The last fields of an encoded virtual host of this release."""
    return message_field(VIRTUAL_HOST_METADATA, metadata({"release": release.word}))
