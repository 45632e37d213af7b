"""How a build is spoken to: what the records that place it agree on, in one value for all clusters of the build."""

from collections.abc import Sequence
from dataclasses import dataclass

from xds_server.domain.names import Ref
from xds_server.records.models import Build, HealthCheck, Protocol, UpstreamTls


@dataclass(frozen=True, slots=True)
class Upstream:
    """`dns`: what a proxy resolves, in place of endpoints that it is sent. `record`: whose secrets TLS uses."""

    protocol: Protocol = Protocol.HTTP1
    health_check: HealthCheck | None = None
    tls: UpstreamTls | None = None
    record: Ref | None = None
    dns: tuple[str, ...] = ()

    @property
    def http2(self) -> bool:
        return self.protocol is not Protocol.HTTP1


UNPLACED = Upstream()


def upstream(placed: Sequence[Build]) -> Upstream:
    if not placed:
        return UNPLACED
    first = placed[0]
    return Upstream(
        protocol=first.spec.protocol,
        health_check=first.spec.health_check,
        tls=first.spec.tls,
        record=first.ref if first.spec.tls is not None else None,
        dns=tuple(sorted({each.spec.endpoints.dns for each in placed if each.spec.endpoints.dns is not None})),
    )
