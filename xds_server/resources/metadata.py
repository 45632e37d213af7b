"""What Envoy is told for its access logs alone: it acts on none of it."""

from collections.abc import Mapping

from xds_server.domain import names
from xds_server.messages.codec import encode
from xds_server.messages.envoy import Metadata
from xds_server.messages.fields import message_field
from xds_server.messages.google import Struct, Value

VIRTUAL_HOST_METADATA = 24
"""The field number of `VirtualHost.metadata`, the last of its fields that we use."""


def metadata(said: Mapping[str, str]) -> Metadata:
    fields = {name: Value(string_value=value) for name, value in said.items()}
    return Metadata(filter_metadata={names.METADATA: Struct(fields=fields)})


def virtual_host_metadata(release: names.Ref) -> bytes:
    """The last fields of an encoded virtual host of this release."""
    return message_field(VIRTUAL_HOST_METADATA, encode(metadata({"release": release.word})))
