"""How Envoy asks the instances of a cluster whether they are well."""

from datetime import timedelta

from xds_server.domain.builds import BuildId
from xds_server.messages.envoy import (
    CodecClientType,
    HealthCheckGrpcHealthCheck,
    HealthCheckHttpHealthCheck,
    Int64Range,
)
from xds_server.messages.envoy import HealthCheck as EnvoyHealthCheck
from xds_server.records.models import HealthCheck, Protocol
from xds_server.resources.upstreams import Upstream

WELL = Int64Range(start=200, end=300)
ANY_STATUS = Int64Range(start=100, end=600)
"""Any other status counts towards the threshold; unless told, Envoy takes an instance out at the first."""
NO_TRAFFIC, NO_TRAFFIC_AT_MOST = 12, timedelta(minutes=1)
"""Healthy instances of a deployment that nobody has used yet are asked so many times less often, but not less often
than that, unless the record says so: the first requests may meet an instance that has been unwell for as long.
"""
JITTER = 10
"""Percent: so that the proxies of a fleet do not ask in step."""


def health_checks(build: BuildId, upstream: Upstream) -> list[EnvoyHealthCheck]:
    """They carry no context: a sidecar that has yet to hear of the deployment lets them through as any probe, and would
    refuse what it is asked for in a deployment that it does not know.
    """
    check = upstream.health_check
    if check is None:
        return []
    grpc = upstream.protocol is Protocol.GRPC
    return [
        EnvoyHealthCheck(
            interval=check.interval,
            interval_jitter_percent=JITTER,
            no_traffic_interval=check.interval,
            no_traffic_healthy_interval=_without_traffic(check.interval),
            timeout=check.timeout,
            healthy_threshold=check.healthy_threshold,
            unhealthy_threshold=check.unhealthy_threshold,
            http_health_check=None if grpc else _http(build, upstream, check),
            grpc_health_check=_grpc(build, upstream, check) if grpc else None,
        )
    ]


def _without_traffic(interval: timedelta) -> timedelta:
    return max(interval, min(interval * NO_TRAFFIC, NO_TRAFFIC_AT_MOST))


def _http(build: BuildId, upstream: Upstream, check: HealthCheck) -> HealthCheckHttpHealthCheck:
    return HealthCheckHttpHealthCheck(
        host=host_of(build, upstream, check),
        path=check.path,
        expected_statuses=[WELL],
        retriable_statuses=[ANY_STATUS],
        codec_client_type=CodecClientType.HTTP2 if upstream.http2 else CodecClientType.HTTP1,
    )


def _grpc(build: BuildId, upstream: Upstream, check: HealthCheck) -> HealthCheckGrpcHealthCheck:
    return HealthCheckGrpcHealthCheck(service_name=check.service, authority=host_of(build, upstream, check))


def host_of(build: BuildId, upstream: Upstream, check: HealthCheck) -> str:
    """Envoy's own default is the cluster's name, which is no host."""
    if check.host is not None:
        return check.host
    if upstream.tls is not None:
        return upstream.tls.server_name
    if upstream.dns:
        return upstream.dns[0].rpartition(":")[0]
    return f"{build.component}.{build.app.word}"
