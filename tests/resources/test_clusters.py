from typing import Any

import pytest

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.messages.codec import to_json
from xds_server.records.models import API_VERSION, AppDeployment, Build, Protocol
from xds_server.resources.clusters import clusters
from xds_server.resources.upstreams import Upstream, upstream
from xds_server.snapshot import TypeUrl

WEB = BuildId(Ref("default", "shop"), "web", "b1")
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def deployment(**component: Any) -> AppDeployment:
    web = {"build": "b1", "routes": [{}], **component}
    spec = {"app": "shop", "version": "2.0", "components": {"web": web, "inner": {"build": "b2"}}}
    said = {"apiVersion": API_VERSION, "kind": "AppDeployment", "metadata": {"name": "v2"}, "spec": spec}
    return AppDeployment.model_validate(said)


def rendered(protocol: Protocol = Protocol.HTTP1, **policy: Any) -> dict[str, Any]:
    [resource] = clusters(deployment(policy=policy), {WEB: Upstream(protocol)})
    assert (resource.name, resource.needs) == ("v2/web", ("shop/web@b1",))
    return to_json(TypeUrl.CLUSTER, resource.body)


PLAIN = rendered()


def test_an_entry_component_is_a_cluster_of_its_deployment_with_the_endpoints_of_its_build() -> None:
    assert PLAIN == {
        "name": "v2/web",
        "alt_stat_name": "v2/web",
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": "shop/web@b1"},
        "connect_timeout": "5s",
        "metadata": {"filter_metadata": {"xds-server": {"app": "shop", "component": "web", "build": "b1"}}},
    }


@pytest.mark.parametrize("protocol", [Protocol.HTTP2, Protocol.GRPC])
def test_what_speaks_http2_is_spoken_to_in_it(protocol: Protocol) -> None:
    options = rendered(protocol)["typed_extension_protocol_options"]

    assert options[HTTP2]["explicit_http_config"] == {"http2_protocol_options": {}}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(
            {"loadBalancer": "maglev", "hash": {"header": "x-user"}}, {"lb_policy": "MAGLEV"}, id="load-balancer"
        ),
        pytest.param({"loadBalancer": "round_robin"}, {}, id="envoy's-own-load-balancer"),
        pytest.param(
            {"circuitBreaker": {"maxRequests": 7, "maxRetries": 0}},
            {"circuit_breakers": {"thresholds": [{"max_requests": 7, "max_retries": 0}]}},
            id="circuit-breaker",
        ),
        pytest.param(
            {"outlier": {"interval": "1500ms"}},
            {
                "outlier_detection": {
                    "consecutive_5xx": 5,
                    "enforcing_success_rate": 0,
                    "interval": "1.500s",
                    "base_ejection_time": "30s",
                    "max_ejection_time": "300s",
                    "max_ejection_percent": 50,
                    "always_eject_one_host": True,
                }
            },
            id="outlier",
        ),
        pytest.param(
            {"outlier": {"consecutive5xx": 50, "consecutiveGatewayFailure": 3, "maxEjectionPercent": 0}},
            {
                "outlier_detection": {
                    "consecutive_5xx": 50,
                    "consecutive_gateway_failure": 3,
                    "enforcing_consecutive_gateway_failure": 100,
                    "enforcing_success_rate": 0,
                    "interval": "10s",
                    "base_ejection_time": "30s",
                    "max_ejection_time": "300s",
                    "max_ejection_percent": 0,
                    "always_eject_one_host": False,
                }
            },
            id="outlier-with-a-number-for-gateway-failures",
        ),
        pytest.param({"timeout": "1s", "upgrades": []}, {}, id="what-routes-say"),
        pytest.param(
            {"retries": {}},
            {
                "circuit_breakers": {
                    "thresholds": [{"retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": 3}}]
                }
            },
            id="retries-have-a-budget",
        ),
        pytest.param(
            {"retries": {}, "circuitBreaker": {"maxRetries": 4}},
            {"circuit_breakers": {"thresholds": [{"max_retries": 4}]}},
            id="unless-they-are-counted",
        ),
        pytest.param({"panicThreshold": 0}, {"common_lb_config": {"healthy_panic_threshold": {}}}, id="never-in-panic"),
    ],
)
def test_the_policy_of_a_component(policy: dict[str, Any], expected: dict[str, Any]) -> None:
    assert rendered(**policy) == PLAIN | expected


def placed(**spec: Any) -> Build:
    said = {"app": "shop", "component": "web", "build": "b1", "endpoints": {"dns": "web.internal:80"}, **spec}
    return Build.model_validate({"apiVersion": API_VERSION, "kind": "Build", "metadata": {"name": "one"}, "spec": said})


def cluster(**spec: Any) -> dict[str, Any]:
    [resource] = clusters(deployment(), {WEB: upstream([placed(**spec)])})
    return to_json(TypeUrl.CLUSTER, resource.body)


def test_a_name_is_resolved_by_the_proxy() -> None:
    [resource] = clusters(deployment(), {WEB: upstream([placed()])})
    said = to_json(TypeUrl.CLUSTER, resource.body)

    address = {"socket_address": {"address": "web.internal", "port_value": 80}}
    assert resource.needs == ()
    assert said["cluster_type"]["typed_config"] == {
        "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
        "respect_dns_ttl": True,
        "dns_lookup_family": "V4_PREFERRED",
    }
    assert "type" not in said
    assert "eds_cluster_config" not in said
    assert said["load_assignment"] == {
        "cluster_name": "v2/web",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
    }


ADDRESSES = {"addresses": ["10.0.0.1:80"]}


@pytest.mark.parametrize(
    ("spec", "host"),
    [
        pytest.param({"endpoints": ADDRESSES}, "web.shop", id="component-and-app"),
        pytest.param({}, "web.internal", id="the-dns-name"),
        pytest.param({"tls": {"serverName": "web.example.com"}}, "web.example.com", id="the-tls-server"),
        pytest.param({"healthCheck": {"host": "own.example.com"}}, "own.example.com", id="its-own"),
    ],
)
def test_a_health_check_has_a_host_and_no_context(spec: dict[str, Any], host: str) -> None:
    [check] = cluster(**({"healthCheck": {"path": "/up"}} | spec))["health_checks"]

    asked = check["http_health_check"]
    assert asked["host"] == host
    assert "request_headers_to_add" not in asked


def test_grpc_is_asked_by_its_own_protocol() -> None:
    [check] = cluster(protocol="grpc", healthCheck={"service": "shop.Cart"})["health_checks"]

    assert check["grpc_health_check"] == {"service_name": "shop.Cart", "authority": "web.internal"}


@pytest.mark.parametrize(
    ("interval", "unused"), [("1s", "12s"), ("5s", "60s"), ("20s", "60s"), ("300s", "300s")], ids=str
)
def test_who_is_well_is_asked_less_often_while_nobody_uses_it(interval: str, unused: str) -> None:
    """As `docs/upstreams.md` says. Who is unwell is asked as often as ever, to be well when somebody comes."""
    [check] = cluster(healthCheck={"interval": interval})["health_checks"]

    assert [check[each] for each in ("interval", "no_traffic_interval", "no_traffic_healthy_interval")] == [
        interval,
        interval,
        unused,
    ]


def tls(**spec: Any) -> dict[str, Any]:
    said = cluster(tls={"serverName": "web.internal", **spec})["transport_socket"]["typed_config"]
    assert said["sni"] == "web.internal"
    found: dict[str, Any] = said["common_tls_context"]
    return found


SERVER = [{"san_type": "DNS", "matcher": {"exact": "web.internal"}}]


def test_instances_prove_their_name_to_the_authorities_of_the_record() -> None:
    trusted = tls(ca="certs/ca.pem")["combined_validation_context"]

    assert trusted["default_validation_context"]["match_typed_subject_alt_names"] == SERVER
    assert trusted["validation_context_sds_secret_config"]["name"] == "build/one/ca"


def test_without_authorities_those_of_the_machine_are_trusted() -> None:
    assert tls()["validation_context"] == {
        "trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"},
        "match_typed_subject_alt_names": SERVER,
    }


def test_a_proxy_shows_its_own_certificate_if_the_record_names_one() -> None:
    [shown] = tls(certificate="certs/edge.pem", privateKey="certs/edge.key")["tls_certificate_sds_secret_configs"]

    assert shown["name"] == "build/one/client"
