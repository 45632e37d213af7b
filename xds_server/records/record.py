"""What every record has: its kind, its name, its namespace."""

from typing import Literal

from pydantic import Field

from xds_server.domain.names import DEFAULT_NAMESPACE, Ref
from xds_server.domain.names import ref as read_ref
from xds_server.records.values import (
    Instant,
    Label,
    Model,
    Text,
)

API_VERSION = "xds-server.dev/v1alpha1"


class Metadata(Model):
    """Who a record is. `name` becomes part of host names and certificates, so it is a DNS label."""

    name: Label
    namespace: Label = DEFAULT_NAMESPACE
    labels: dict[str, Text] = Field(default_factory=dict)
    annotations: dict[str, Text] = Field(default_factory=dict)
    creation_timestamp: Instant | None = Field(default=None, alias="creationTimestamp")


class RecordBase(Model):
    """What every record has. Two records are one if kind, namespace and name are equal."""

    api_version: Literal["xds-server.dev/v1alpha1"] = Field(alias="apiVersion")
    metadata: Metadata

    @property
    def ref(self) -> Ref:
        return Ref(self.metadata.namespace, self.metadata.name)

    def refer(self, word: str) -> Ref:
        """A name that this record says: in its own namespace unless it says `namespace.name`."""
        return read_ref(word, self.metadata.namespace)
