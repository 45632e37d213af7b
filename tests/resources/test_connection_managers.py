from typing import Any

import pytest

from tests.resources.edge import PLAIN, SECURE, gateway, listeners, manager


def told(**spec: Any) -> dict[str, Any]:
    return manager(listeners(gateway(**spec))["http"])


def test_what_arrives_is_normalised_before_it_is_routed() -> None:
    found = told()

    assert found["normalize_path"]
    assert found["merge_slashes"]
    assert found["path_with_escaped_slashes_action"] == "UNESCAPE_AND_REDIRECT"


@pytest.mark.parametrize(
    ("http", "field", "expected"),
    [
        ({}, "xff_num_trusted_hops", None),
        ({"trustedHops": 2}, "xff_num_trusted_hops", 2),
        ({}, "max_request_headers_kb", 60),
        ({"headersKb": 96}, "max_request_headers_kb", 96),
        ({}, "use_remote_address", True),
        ({"trustedHops": 2}, "use_remote_address", True),
    ],
)
def test_what_an_operator_may_change(http: dict[str, Any], field: str, expected: object) -> None:
    assert told(http=http).get(field) == expected


@pytest.mark.parametrize(("said", "action"), [("reject", "REJECT_REQUEST"), ("drop", "DROP_HEADER"), ("allow", None)])
def test_headers_with_underscores(said: str, action: str | None) -> None:
    options = told(http={"underscores": said, "idleTimeout": "1m"})["common_http_protocol_options"]

    assert options.get("headers_with_underscores_action") == action
    assert options["idle_timeout"] == "60s"


@pytest.mark.parametrize(
    ("redirect", "port"),
    [
        pytest.param("https", {"port_redirect": 8443}, id="the-listener"),
        pytest.param({"port": 444}, {"port_redirect": 444}, id="said"),
        pytest.param({"port": 443}, {}, id="that-of-https"),
    ],
)
def test_a_redirect_goes_to_https_and_keeps_the_method_of_all_but_reads(redirect: Any, port: dict[str, int]) -> None:
    found = told(listeners=[PLAIN | {"redirect": redirect}, SECURE])
    [host] = found["route_config"]["virtual_hosts"]
    there = {"https_redirect": True, **port}
    reads, rest = (each["redirect"] for each in host["routes"])

    assert (reads, rest) == (there, there | {"response_code": "PERMANENT_REDIRECT"})  # 301 is the default
    assert found["strip_any_host_port"]
    assert [each["name"] for each in found["http_filters"]] == ["envoy.filters.http.router"]
