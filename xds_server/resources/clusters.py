"""One cluster per deployment and entry component; versions share endpoints (EDS names) but not counters.

What clusters have in common is encoded once. A message is what its parts say, encoded one after the other.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache

from xds_server.domain import names
from xds_server.domain.builds import BuildId
from xds_server.messages.codec import decode, encode, pack
from xds_server.messages.envoy import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    CircuitBreakersThresholdsRetryBudget,
    Cluster,
    ClusterCommonLbConfig,
    ClusterCustomClusterType,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
    ClusterLbPolicy,
    Http2ProtocolOptions,
    OutlierDetection,
    Percent,
)
from xds_server.messages.extensions import (
    DnsCluster,
    DnsLookupFamily,
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from xds_server.messages.fields import message_field, text_field
from xds_server.messages.google import Any
from xds_server.records.models import AppDeployment, CircuitBreaker, LoadBalancer, Outlier, TrafficPolicy
from xds_server.resources.content import encoded_resource
from xds_server.resources.endpoints import resolved
from xds_server.resources.health_checks import health_checks
from xds_server.resources.metadata import metadata
from xds_server.resources.sources import FROM_ADS
from xds_server.resources.upstream_tls import transport_socket
from xds_server.resources.upstreams import UNPLACED, Upstream
from xds_server.snapshot import Resource

CONNECT_TIMEOUT = timedelta(seconds=5)
PANIC = 50
"""Envoy's own threshold."""
LB_POLICY = {
    LoadBalancer.ROUND_ROBIN: ClusterLbPolicy.ROUND_ROBIN,
    LoadBalancer.LEAST_REQUEST: ClusterLbPolicy.LEAST_REQUEST,
    LoadBalancer.RANDOM: ClusterLbPolicy.RANDOM,
    LoadBalancer.RING_HASH: ClusterLbPolicy.RING_HASH,
    LoadBalancer.MAGLEV: ClusterLbPolicy.MAGLEV,
}
BY_NAME = ClusterCustomClusterType(
    name="envoy.clusters.dns",
    typed_config=pack(DnsCluster(respect_dns_ttl=True, dns_lookup_family=DnsLookupFamily.V4_PREFERRED)),
)
"""What used to be fields of a cluster, which Envoy warns of for each."""
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HTTP2 = pack(
    HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
    )
)


NAME, EDS_CLUSTER_CONFIG, METADATA, ALT_STAT_NAME = 1, 3, 25, 28
"""Field numbers of `Cluster`."""
SERVICE_NAME = 2
"""Of its `EdsClusterConfig`."""
EDS = encode(ClusterEdsClusterConfig(eds_config=FROM_ADS))


def clusters(deployment: AppDeployment, upstreams: Mapping[BuildId, Upstream]) -> tuple[Resource, ...]:
    """A cluster for each component that a gateway may send requests to."""
    return tuple(cluster(deployment, component, upstreams) for component in deployment.spec.entries)


def cluster(deployment: AppDeployment, name: str, upstreams: Mapping[BuildId, Upstream]) -> Resource:
    component = deployment.spec.components[name]
    build = BuildId(deployment.refer(deployment.spec.app), name, component.build)
    upstream = upstreams.get(build, UNPLACED)
    cluster_name = names.cluster(deployment.ref, name)
    said = metadata({"app": build.app.word, "component": name, "build": component.build})
    fields = [
        text_field(NAME, cluster_name),
        _carried(component.policy, upstream),
        _whereabouts(cluster_name, build, upstream),
        message_field(METADATA, said),
        text_field(ALT_STAT_NAME, names.cluster_stat(cluster_name)),
    ]
    if upstream.health_check is not None:
        fields.append(encode(Cluster(health_checks=health_checks(build, upstream))))
    body = encode(decode(Cluster, b"".join(fields)))  # in the order of a message that was built whole
    return encoded_resource(cluster_name, body, needs=() if upstream.dns else (build.word,))


def _whereabouts(name: str, build: BuildId, upstream: Upstream) -> bytes:
    if upstream.dns:
        return encode(Cluster(load_assignment=resolved(name, upstream.dns)))
    return message_field(EDS_CLUSTER_CONFIG, EDS + text_field(SERVICE_NAME, build.word))


@lru_cache(maxsize=1024)
def _carried(policy: TrafficPolicy, upstream: Upstream) -> bytes:
    """What the clusters of many builds and deployments have in common."""
    return encode(
        Cluster(
            type=None if upstream.dns else ClusterDiscoveryType.EDS,
            cluster_type=BY_NAME if upstream.dns else None,
            connect_timeout=CONNECT_TIMEOUT,
            lb_policy=LB_POLICY[policy.load_balancer],
            common_lb_config=_common_lb(policy, upstream),
            circuit_breakers=_circuit_breakers(policy),
            outlier_detection=_outlier_detection(policy.outlier),
            ignore_health_on_host_removal=upstream.health_check is not None,
            transport_socket=transport_socket(upstream),
            typed_extension_protocol_options=_protocol_options(upstream),
        )
    )


def _protocol_options(upstream: Upstream) -> dict[str, Any]:
    return {HTTP_OPTIONS: HTTP2} if upstream.http2 else {}


def _common_lb(policy: TrafficPolicy, upstream: Upstream) -> ClusterCommonLbConfig | None:
    """New instances that were not asked yet do not count as unhealthy: twice as many are no reason to panic."""
    if policy.panic_threshold == PANIC and upstream.health_check is None:
        return None
    return ClusterCommonLbConfig(
        healthy_panic_threshold=Percent(value=float(policy.panic_threshold)),
        ignore_new_hosts_until_first_hc=upstream.health_check is not None,
    )


def _circuit_breakers(policy: TrafficPolicy) -> CircuitBreakers | None:
    limits, budget = policy.circuit_breaker or CircuitBreaker(), policy.budget
    if policy.circuit_breaker is None and budget is None:
        return None
    threshold = CircuitBreakersThresholds(
        max_connections=limits.max_connections,
        max_pending_requests=limits.max_pending_requests,
        max_requests=limits.max_requests,
        max_retries=limits.max_retries,
        retry_budget=None
        if budget is None
        else CircuitBreakersThresholdsRetryBudget(
            budget_percent=Percent(value=budget.percent), min_retry_concurrency=budget.min_concurrency
        ),
    )
    return CircuitBreakers(thresholds=[threshold])


def _outlier_detection(outlier: Outlier | None) -> OutlierDetection | None:
    """Only what the record says: Envoy's statistics over success rates eject nobody.

    What the instance did not answer counts as 502, 503 or 504. Counted apart, every new connection would begin the
    count anew, and an instance that takes connections and answers nothing would never be out.
    """
    if outlier is None:
        return None
    return OutlierDetection(
        consecutive_5xx=outlier.consecutive_5xx,
        consecutive_gateway_failure=outlier.consecutive_gateway_failure,
        enforcing_consecutive_gateway_failure=None if outlier.consecutive_gateway_failure is None else 100,
        enforcing_success_rate=0,
        interval=outlier.interval,
        base_ejection_time=outlier.base_ejection,
        max_ejection_time=max(outlier.max_ejection, outlier.base_ejection),
        max_ejection_percent=outlier.max_ejection_percent,
        always_eject_one_host=outlier.max_ejection_percent > 0,
    )
