"""`/proxies`: who is connected, and how much of what it is to have it has accepted."""

from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Query
from pydantic import Field

from xds_server.api.releases import Said, Seconds, wrong
from xds_server.protocol.state import ResourceStatus


class RefusalReport(Said):
    """What a proxy refused last, and why, in its own words."""

    at: datetime
    type: str
    names: tuple[str, ...]
    reason: str


class TypeReport(Said):
    """One type of resources on one stream."""

    type: str
    version: str = Field(description="Of everything that it has accepted and holds: equal if all of it is equal.")
    held: int
    owed: int = Field(description="How many resources it is to be sent yet, or has not answered.")
    refused: tuple[str, ...] = Field(description="Names that it refuses as they are now.")
    awaited: str = Field(description="The nonce of the response that it has not answered; empty if there is none.")


class ResourceReport(Said):
    """One resource of a proxy."""

    type: str
    name: str
    version: str
    status: ResourceStatus


class ConnectedProxy(Said):
    """One stream of one proxy. `objection`: why it is told nothing."""

    id: str
    gateway: str
    role: str
    envoy: str = Field(description="Its version; empty: it is no Envoy.")
    mode: str
    since: datetime
    delivery: str = Field(description="`on demand` or `full`; empty if it is told nothing.")
    because: str = Field(description="Why it is told everything.")
    objection: str
    in_sync: bool
    types: tuple[TypeReport, ...]
    last_refusal: RefusalReport | None


class ProxyDetail(ConnectedProxy):
    """The same with every resource."""

    resources: tuple[ResourceReport, ...]


class Fleet(Said):
    """Everyone that is connected. `revision`: what to ask for next, to hear of a change."""

    revision: int
    proxies: tuple[ConnectedProxy, ...]


class Proxies(Protocol):
    """Who is connected to a running server."""

    async def fleet(self, names: frozenset[str]) -> Fleet:
        """Those of these names, or all."""

    def detail(self, name: str) -> ProxyDetail | None:
        """The newest stream of a proxy."""

    async def change(self, revision: int, seconds: float) -> None:
        """Wait so long for anything that happened after this revision."""


def proxies_api(proxies: Proxies) -> APIRouter:
    api = APIRouter(tags=["proxies"])

    @api.get("/proxies", summary="Who is connected, and who is behind")
    async def connected(
        name: Annotated[list[str] | None, Query(description="Only proxies with these node ids.")] = None,
        after: Annotated[int | None, Query(description="Wait until there is something after this revision.")] = None,
        seconds: Seconds = 60.0,
    ) -> Fleet:
        """With `after` it answers when something happens, and in any case when the time is over."""
        if after is not None:
            await proxies.change(after, seconds)
        return await proxies.fleet(frozenset(name or ()))

    @api.get("/proxies/{name:path}", summary="One proxy, with every resource")
    async def one(name: str) -> ProxyDetail:
        """404 if no proxy with this node id is connected."""
        found = proxies.detail(name)
        if found is None:
            raise wrong(404, f"no proxy with node id {name!r} is connected: GET /proxies lists those that are")
        return found

    return api
