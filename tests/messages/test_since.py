"""What older Envoys would drop is found wherever it is in a message."""

from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from xds_server.domain.versions import OLDEST, Minor
from xds_server.messages.bridge import POOL
from xds_server.messages.descriptors import URL_PREFIX
from xds_server.messages.since import news, since

CLUSTER = "envoy.config.cluster.v3.Cluster"
LISTENER = "envoy.config.listener.v3.Listener"
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
VIRTUAL_HOST = "envoy.config.route.v3.VirtualHost"


def encoded(name: str, document: dict[str, Any]) -> bytes:
    """The message that Envoy's documentation would write so."""
    message: Any = GetMessageClass(POOL.FindMessageTypeByName(name))()
    json_format.ParseDict(document, message, descriptor_pool=POOL)
    body: bytes = message.SerializeToString()
    return body


def packed(**manager: Any) -> dict[str, Any]:
    """A listener with an HTTP connection manager."""
    filters = [{"name": "http", "typed_config": {"@type": URL_PREFIX + MANAGER, **manager}}]
    return {"filter_chains": [{"filters": filters}]}


def compared(operator: str) -> dict[str, Any]:
    return {"access_log": [{"filter": {"status_code_filter": {"comparison": {"op": operator}}}}]}


BY_COOKIE = {"prefix": "/", "cookies": [{"name": "a", "string_match": {"exact": "b"}}]}


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        pytest.param(
            VIRTUAL_HOST,
            {"routes": [{"match": {"prefix": "/"}}, {"match": BY_COOKIE}]},
            [((1, 37), "envoy.config.route.v3.RouteMatch.cookies")],
            id="field-of-a-repeated-message",
        ),
        pytest.param(
            CLUSTER,
            {"outlier_detection": {"detect_degraded_hosts": True}},
            [((1, 38), "envoy.config.cluster.v3.OutlierDetection.detect_degraded_hosts")],
            id="field-of-a-message",
        ),
        pytest.param(
            LISTENER,
            packed(drain_timeout_jitter={"value": 1}) | {"tcp_keepalive": {}},
            [((1, 39), f"{MANAGER}.drain_timeout_jitter"), ((1, 37), f"{LISTENER}.tcp_keepalive")],
            id="packed-newest-first",
        ),
        pytest.param(
            LISTENER,
            compared("NE"),
            [((1, 37), "envoy.config.accesslog.v3.ComparisonFilter.op=NE")],
            id="value-of-an-enum",
        ),
        pytest.param(
            LISTENER,
            packed(
                http_filters=[
                    {"name": "a", "typed_config": {"@type": f"{URL_PREFIX}envoy.extensions.filters.http.mcp.v3.Mcp"}}
                ]
            ),
            [],
            id="packed-and-old-enough",
        ),
        pytest.param(LISTENER, compared("LE"), [], id="older-value-of-the-enum"),
        pytest.param(CLUSTER, {"metadata": {"filter_metadata": {"a": {"b": "c"}}}}, [], id="maps"),
    ],
)
def test_what_older_envoys_would_drop(name: str, document: dict[str, Any], expected: list[tuple[Minor, str]]) -> None:
    found = news(URL_PREFIX + name, encoded(name, document))

    assert list(found) == expected
    assert since(URL_PREFIX + name, encoded(name, document)) == (expected[0][0] if expected else OLDEST)


def test_a_message_that_is_new_itself_is_told_where_it_is_packed() -> None:
    name = "envoy.extensions.filters.http.mcp_router.v3.McpRouter"

    assert (since(URL_PREFIX + name, b""), [each.name for each in news(URL_PREFIX + name, b"")]) == ((1, 37), [name])


@pytest.mark.parametrize(("name", "body"), [("envoy.unheard.v9.Of", b""), (CLUSTER, b"\xff"), (LISTENER, b"")])
def test_what_nobody_understands_is_left_to_envoy(name: str, body: bytes) -> None:
    assert since(URL_PREFIX + name, body) == OLDEST
