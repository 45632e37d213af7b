"""One cluster per deployment and entry component; versions share endpoints (EDS names) but not counters."""

from collections.abc import Mapping
from datetime import timedelta

from xds_server.domain import names
from xds_server.domain.builds import BuildId
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
    ClusterLbPolicy,
    Http2ProtocolOptions,
    OutlierDetection,
)
from xds_server.messages.extensions import HttpProtocolOptions, HttpProtocolOptionsExplicitHttpConfig
from xds_server.messages.google import Any
from xds_server.records.models import AppDeployment, CircuitBreaker, LoadBalancer, Outlier, Protocol
from xds_server.resources.content import resource
from xds_server.resources.metadata import metadata
from xds_server.resources.sources import FROM_ADS
from xds_server.snapshot import Resource

CONNECT_TIMEOUT = timedelta(seconds=5)
LB_POLICY = {
    LoadBalancer.ROUND_ROBIN: ClusterLbPolicy.ROUND_ROBIN,
    LoadBalancer.LEAST_REQUEST: ClusterLbPolicy.LEAST_REQUEST,
    LoadBalancer.RANDOM: ClusterLbPolicy.RANDOM,
    LoadBalancer.RING_HASH: ClusterLbPolicy.RING_HASH,
    LoadBalancer.MAGLEV: ClusterLbPolicy.MAGLEV,
}
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HTTP2 = pack(
    HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
    )
)


def clusters(deployment: AppDeployment, protocols: Mapping[BuildId, Protocol]) -> tuple[Resource, ...]:
    """A cluster for each component that a gateway may send requests to."""
    return tuple(_cluster(deployment, component, protocols) for component in deployment.spec.entries)


def _cluster(deployment: AppDeployment, name: str, protocols: Mapping[BuildId, Protocol]) -> Resource:
    component = deployment.spec.components[name]
    build = BuildId(deployment.refer(deployment.spec.app), name, component.build)
    cluster_name = names.cluster(deployment.ref, name)
    policy = component.policy
    cluster = Cluster(
        name=cluster_name,
        alt_stat_name=names.cluster_stat(cluster_name),
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=ClusterEdsClusterConfig(eds_config=FROM_ADS, service_name=build.word),
        connect_timeout=CONNECT_TIMEOUT,
        lb_policy=LB_POLICY[policy.load_balancer],
        circuit_breakers=_circuit_breakers(policy.circuit_breaker),
        outlier_detection=_outlier_detection(policy.outlier),
        typed_extension_protocol_options=_protocol_options(protocols.get(build, Protocol.HTTP1)),
        metadata=metadata({"app": build.app.word, "component": name, "build": component.build}),
    )
    return resource(cluster_name, cluster, needs=(build.word,))


def _protocol_options(protocol: Protocol) -> dict[str, Any]:
    return {} if protocol is Protocol.HTTP1 else {HTTP_OPTIONS: HTTP2}


def _circuit_breakers(limits: CircuitBreaker | None) -> CircuitBreakers | None:
    if limits is None:
        return None
    threshold = CircuitBreakersThresholds(
        max_connections=limits.max_connections,
        max_pending_requests=limits.max_pending_requests,
        max_requests=limits.max_requests,
        max_retries=limits.max_retries,
    )
    return CircuitBreakers(thresholds=[threshold])


def _outlier_detection(outlier: Outlier | None) -> OutlierDetection | None:
    if outlier is None:
        return None
    return OutlierDetection(
        consecutive_5xx=outlier.consecutive_5xx,
        interval=outlier.interval,
        base_ejection_time=outlier.base_ejection,
        max_ejection_percent=outlier.max_ejection_percent,
    )
