"""Who is connected, as data: what the server says and commands read."""

from datetime import datetime

from pydantic import Field

from xds_server.api.release_reports import Said
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
    version: str | None = Field(
        description="Of everything that it has accepted and holds: equal if all of it is equal. "
        "Only of proxies that are asked for by name; else null."
    )
    held: int
    owed: int = Field(description="How many resources it is to be sent yet, or was sent and has not answered.")
    refused: tuple[str, ...] = Field(description="Names that it refuses as they are now.")
    awaited: str = Field(description="The nonce of the response that it has not answered; empty if there is none.")


class ResourceReport(Said):
    """One resource of a proxy."""

    type: str
    name: str
    version: str
    status: ResourceStatus


class ConnectedProxy(Said):
    """One stream of one proxy. `objection`: why it is told nothing. `streams`: how many have this node id; if that is
    not one, two proxies may share it, and are taken for one."""

    id: str
    gateway: str = Field(description="Whose listeners it opens; empty: it is a sidecar.")
    build: str = Field(default="", description="Beside which build it is, as `app/component@build`; empty: a gateway.")
    role: str
    envoy: str = Field(description="Its version; empty: it is no Envoy.")
    mode: str
    since: datetime
    delivery: str = Field(description="`on demand` or `full`; empty if it is told nothing.")
    because: str = Field(description="Why it is told everything.")
    objection: str
    streams: int = 1
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
