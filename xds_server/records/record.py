"""What every record has: its kind, its name, its namespace."""

from typing import Annotated, Literal

from pydantic import Field

from xds_server.domain.names import DEFAULT_NAMESPACE, Ref
from xds_server.domain.names import ref as read_ref
from xds_server.records.values import (
    Instant,
    Label,
    Model,
    Text,
    means,
)

API_VERSION = "xds-server.dev/v1alpha1"


class Metadata(Model):
    """Who a record is. `name` becomes part of host names and certificates, so it is a DNS label."""

    name: Annotated[Label, means("What the record is called; kind, namespace and name are its identity.", "shop-v2")]
    namespace: Annotated[Label, means("Which namespace it is in.", "prod")] = DEFAULT_NAMESPACE
    labels: Annotated[dict[str, Text], means("Yours; nothing here reads them.", {"team": "checkout"})] = Field(
        default_factory=dict
    )
    annotations: Annotated[dict[str, Text], means("Yours, and what extensions are told.", {"ticket": "SHOP-12"})] = (
        Field(default_factory=dict)
    )
    creation_timestamp: Annotated[
        Instant | None,
        means(
            "When the record was made; of two releases that claim a free host the older gets it, of deployments that "
            "share a build the oldest has what comes without a context.",
            "2026-11-01",
        ),
    ] = Field(default=None, alias="creationTimestamp")


class RecordBase(Model):
    """What every record has. Two records are one if kind, namespace and name are equal."""

    api_version: Annotated[
        Literal["xds-server.dev/v1alpha1"], means("Which version of the records this is.", API_VERSION)
    ] = Field(alias="apiVersion")
    metadata: Annotated[Metadata, means("Who the record is.", {"name": "shop-v2"})]

    @property
    def ref(self) -> Ref:
        return Ref(self.metadata.namespace, self.metadata.name)

    def refer(self, word: str) -> Ref:
        """A name that this record says: in its own namespace unless it says `namespace.name`."""
        return read_ref(word, self.metadata.namespace)
