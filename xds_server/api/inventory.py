"""`/records/KIND`: what is in force, and how it is."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from xds_server.api.errors import UNKNOWN, wrong
from xds_server.api.release_reports import Said
from xds_server.api.releases import PAGE
from xds_server.difference.inventory import Item, Wanted
from xds_server.domain.names import Ref, ref
from xds_server.ledger.entry import Entry


class Listed(StrEnum):
    """Kinds of records, as one asks for them."""

    RELEASES = "releases"
    DEPLOYMENTS = "deployments"
    BUILDS = "builds"
    GATEWAYS = "gateways"
    APPS = "apps"

    @property
    def kind(self) -> str:
        return KIND_OF[self]


KIND_OF = {
    Listed.RELEASES: "Release",
    Listed.DEPLOYMENTS: "AppDeployment",
    Listed.BUILDS: "Build",
    Listed.GATEWAYS: "Gateway",
    Listed.APPS: "App",
}


class Filters(BaseModel):
    """Which records, and which page of them. What is empty is not asked for."""

    name: str = Field(default="", description="Only this one: NAME, or NAMESPACE.NAME.")
    app: str = Field(default="", description="Only of this app: NAME, or NAMESPACE.NAME.")
    namespace: str = Field(default="", description="Only of this namespace.")
    after: str = Field(default="", description="The last record of the page before.")
    limit: int = Field(default=100, ge=1, le=PAGE, description="Records on a page.")

    def wanted(self, kind: str) -> Wanted:
        name, app = ref(self.name) if self.name else None, ref(self.app) if self.app else None
        return Wanted(kind, name, app, self.namespace)


class ListedRecord(Said):
    """One record. Of a release that waits to come into force for the first time, what it says."""

    kind: str
    name: str = Field(description="NAME, or NAMESPACE.NAME.")
    app: str = Field(description="Empty: of a gateway.")
    accepted: datetime | None = Field(description="When it was first accepted; null: it is not in force.")
    status: str = Field(description="Of a release, a deployment and a build.")
    because: str = Field(description="Why it is so, where there is something to say.")
    live: str = Field(default="", description="How far a release has come: the state of its entry in the ledger.")
    ledger: str = Field(default="", description="Such as: 38 of 40 accepted, 1 pending, 1 refused: <reason>.")
    used_by: tuple[str, ...] = Field(
        description="Of a deployment, what keeps it; of a build, its deployments; of a gateway, its releases."
    )
    holds: Mapping[str, int] = Field(description="Of an app, how many records of other kinds.")
    record: Mapping[str, Any] = Field(
        description="As it is in force: of a moved or pinned release, what it gives. Empty: an app without a record."
    )


class Records(Protocol):
    """The records of a running server."""

    async def page(self, which: Wanted, after: Ref | None, limit: int) -> list[ListedRecord]:
        """So many after that one, by name."""


def record_report(item: Item, entry: Entry | None = None) -> ListedRecord:
    return ListedRecord(
        kind=item.key.kind,
        name=item.key.ref.word,
        app="" if item.app is None else item.app.word,
        accepted=item.accepted,
        status=item.status,
        because=item.because,
        live="" if entry is None else entry.state.value,
        ledger="" if entry is None else entry.summary.words,
        used_by=item.used_by,
        holds=item.holds,
        record=item.document,
    )


def inventory_api(records: Records) -> APIRouter:
    api = APIRouter(tags=["records"])

    @api.get("/records/{kind}", summary="What is in force, and how it is", responses=UNKNOWN)
    async def listed(
        kind: Annotated[Listed, Path(description="Which kind of records.")], filters: Annotated[Filters, Query()]
    ) -> list[ListedRecord]:
        """By name. A page that is shorter than `limit` is the last one. 404: there is no such `name`."""
        after = ref(filters.after) if filters.after else None
        found = await records.page(filters.wanted(kind.kind), after, filters.limit)
        if filters.name and not found:
            raise wrong(404, f"there is no {kind.kind} {filters.name!r}: xdsctl get {kind.value} lists what there is")
        return found

    return api
