from typing import Any

import pytest

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.messages.codec import to_json
from xds_server.records.models import API_VERSION, AppDeployment, Protocol
from xds_server.resources.clusters import clusters
from xds_server.snapshot import TypeUrl

WEB = BuildId(Ref("default", "shop"), "web", "b1")
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def deployment(**component: Any) -> AppDeployment:
    web = {"build": "b1", "routes": [{}], **component}
    spec = {"app": "shop", "version": "2.0", "components": {"web": web, "inner": {"build": "b2"}}}
    said = {"apiVersion": API_VERSION, "kind": "AppDeployment", "metadata": {"name": "v2"}, "spec": spec}
    return AppDeployment.model_validate(said)


def rendered(protocol: Protocol = Protocol.HTTP1, **policy: Any) -> dict[str, Any]:
    [resource] = clusters(deployment(policy=policy), {WEB: protocol})
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
        pytest.param({"loadBalancer": "maglev"}, {"lb_policy": "MAGLEV"}, id="load-balancer"),
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
                    "interval": "1.500s",
                    "base_ejection_time": "30s",
                    "max_ejection_percent": 50,
                }
            },
            id="outlier",
        ),
        pytest.param({"timeout": "1s", "retries": {"attempts": 1}}, {}, id="what-routes-say"),
    ],
)
def test_the_policy_of_a_component(policy: dict[str, Any], expected: dict[str, Any]) -> None:
    assert rendered(**policy) == PLAIN | expected
