"""`/proxies`: who is connected, and how much of what it is to have it has accepted."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Query

from xds_server.api.errors import UNKNOWN, wrong
from xds_server.api.proxy_reports import Fleet, ProxyDetail
from xds_server.api.releases import Seconds


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

    @api.get("/proxies/{name:path}", summary="One proxy, with every resource", responses=UNKNOWN)
    async def one(name: str) -> ProxyDetail:
        """404 if no proxy with this node id is connected."""
        found = proxies.detail(name)
        if found is None:
            raise wrong(404, f"no proxy with node id {name!r} is connected: GET /proxies lists those that are")
        return found

    return api
