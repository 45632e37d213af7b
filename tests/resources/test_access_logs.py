from typing import Any

import pytest

from tests.records.order import build_of
from tests.resources.edge import gateway, listeners, manager
from xds_server.messages.codec import to_json
from xds_server.messages.envoy import AccessLog as EnvoyAccessLog
from xds_server.records.models import AccessLog
from xds_server.resources.access_logs import access_log_clusters, inbound_logs, outbound_logs
from xds_server.snapshot import TypeUrl


def logs(**said: Any) -> dict[str, Any]:
    found = manager(listeners(gateway(accessLog=said))["http"]).get("access_log", [])
    return {each["name"]: each["typed_config"] for each in found}


def test_requests_are_logged_on_standard_output_unless_the_gateway_says_otherwise() -> None:
    assert logs().keys() == {"stdout"}
    assert logs(stdout=False).keys() == set()
    assert logs(otlp="otel.internal:4317").keys() == {"stdout", "otlp"}


def test_neither_query_nor_cookies_nor_credentials_are_logged() -> None:
    formats = logs()["stdout"]["log_format"]["json_format"].values()

    assert "%REQ_WITHOUT_QUERY(:PATH)%" in formats
    assert not [each for each in formats if "COOKIE" in each or "AUTHORIZATION" in each or "REQ(:PATH)" in each]


def test_a_collector_is_told_what_a_line_says() -> None:
    found = logs(otlp="otel.internal:4317")
    attributes = {each["key"]: each["value"]["string_value"] for each in found["otlp"]["attributes"]["values"]}

    assert attributes == found["stdout"]["log_format"]["json_format"]


@pytest.mark.parametrize(
    ("otlp", "kind", "address", "port"),
    [
        ("otel.internal:4317", "STRICT_DNS", "otel.internal", 4317),
        ("10.0.0.1:4317", None, "10.0.0.1", 4317),
        ("[::1]:4317", None, "::1", 4317),
    ],
)
def test_a_collector_is_a_cluster_of_its_gateway(otlp: str, kind: str | None, address: str, port: int) -> None:
    [(name, found)] = access_log_clusters(AccessLog(otlp=otlp)).items()
    cluster = to_json(TypeUrl.CLUSTER, found.body)
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]

    assert name == cluster["name"] == "access-log"
    assert cluster.get("type") in (kind, "STATIC" if kind is None else kind)
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": address, "port_value": port}
    assert access_log_clusters(AccessLog()) == access_log_clusters(None) == {}


# --- at a sidecar

A1 = build_of("api@a1")


def lines(logs: list[EnvoyAccessLog]) -> dict[str, str]:
    """What a line says, where standard output is the only place."""
    [log] = logs
    assert log.typed_config is not None
    found: dict[str, str] = to_json(log.typed_config.type_url, log.typed_config.value)["log_format"]["json_format"]
    return found


def test_a_sidecar_logs_nothing_unless_its_app_says_so() -> None:
    assert outbound_logs(None, A1, "out") == inbound_logs(None, A1, "in") == []


def test_a_call_is_logged_with_its_caller_and_a_request_with_who_answers() -> None:
    out, own = lines(outbound_logs(AccessLog(), A1, "out")), lines(inbound_logs(AccessLog(), A1, "in"))
    both = {"rule", "deployment", "reason", "build", "upstream", "duration_ms", "request_id", "listener"}

    assert both <= out.keys() & own.keys()
    assert out["caller"] == "order/api@a1"
    assert (own["app"], own["component"], own["build"]) == ("order", "api", "a1")
    assert "caller" not in own, "who it is, is not said to the callee"
    assert "release" not in out.keys() | own.keys()


def test_to_a_collector_a_sidecar_is_its_component() -> None:
    [log] = outbound_logs(AccessLog(stdout=False, otlp="otel.internal:4317"), A1, "out")
    assert log.typed_config is not None
    said = to_json(log.typed_config.type_url, log.typed_config.value)

    assert said["common_config"]["log_name"] == "order/api"
    assert said["resource_attributes"]["values"] == [{"key": "service.name", "value": {"string_value": "order/api"}}]


def test_probes_of_an_application_are_not_logged() -> None:
    [log] = inbound_logs(AccessLog(), A1, "in")
    assert log.filter is not None
    assert log.filter.metadata_filter is not None
    matcher = log.filter.metadata_filter.matcher

    assert matcher is not None
    assert matcher.path[0].key == "rule"
    assert matcher.value is not None
    assert matcher.value.string_match is not None
    assert matcher.value.string_match.safe_regex is not None
    assert matcher.value.string_match.safe_regex.regex == "context|owner|no-context"
