from typing import Any

import pytest

from tests.resources.edge import gateway, listeners, manager
from xds_server.messages.codec import to_json
from xds_server.resources.access_logs import access_log_clusters
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
    [(name, found)] = access_log_clusters(gateway(accessLog={"otlp": otlp})).items()
    cluster = to_json(TypeUrl.CLUSTER, found.body)
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]

    assert name == cluster["name"] == "access-log"
    assert cluster.get("type") in (kind, "STATIC" if kind is None else kind)
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": address, "port_value": port}
    assert access_log_clusters(gateway()) == {}
