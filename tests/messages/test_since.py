"""What older Envoys would drop is found wherever it is in a message."""

import pytest
from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLog,
    AccessLogFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, OutlierDetection
from envoy_data_plane.envoy.config.core.v3 import Metadata
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import CookieMatcher, Route, RouteMatch, VirtualHost
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any, Struct, Value

from xds_server.domain.versions import OLDEST
from xds_server.messages.descriptors import URL_PREFIX, full_name
from xds_server.messages.since import News, news, since

COOKIES = "envoy.config.route.v3.RouteMatch.cookies"
JITTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.drain_timeout_jitter"
NOT_EQUAL = "envoy.config.accesslog.v3.ComparisonFilter.op=NE"


def by_cookie() -> VirtualHost:
    cookie = CookieMatcher(name="a", string_match=StringMatcher(exact="b"))
    return VirtualHost(routes=[Route(match=RouteMatch(prefix="/", cookies=[cookie]))])


def packed() -> Listener:
    manager = HttpConnectionManager(drain_timeout_jitter={"value": 1.0})  # type: ignore[arg-type]
    return Listener(filter_chains=[FilterChain(filters=[Filter(typed_config=Any.pack(manager))])])


def compared(op: ComparisonFilterOp) -> Listener:
    by_status = AccessLogFilter(status_code_filter=StatusCodeFilter(comparison=ComparisonFilter(op=op)))
    return Listener(access_log=[AccessLog(filter=by_status)])


def found(message: VirtualHost | Listener | Cluster) -> tuple[News, ...]:
    return news(URL_PREFIX + full_name(type(message)), bytes(message))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(by_cookie(), [((1, 37), COOKIES)], id="field-of-a-repeated-message"),
        pytest.param(compared(ComparisonFilterOp.NE), [((1, 37), NOT_EQUAL)], id="value-of-an-enum"),
        pytest.param(compared(ComparisonFilterOp.GE), [], id="older-value-of-the-enum"),
        pytest.param(
            Cluster(outlier_detection=OutlierDetection(detect_degraded_hosts=True)),
            [((1, 38), "envoy.config.cluster.v3.OutlierDetection.detect_degraded_hosts")],
            id="field-of-a-message",
        ),
        pytest.param(
            Cluster(metadata=Metadata(filter_metadata={"a": Struct(fields={"b": Value(string_value="c")})})),
            [],
            id="maps-of-messages-have-nothing-new",
        ),
        pytest.param(Cluster(name="a"), [], id="nothing"),
    ],
)
def test_what_older_envoys_would_drop(
    message: VirtualHost | Listener | Cluster, expected: list[tuple[tuple[int, int], str]]
) -> None:
    assert list(found(message)) == expected


def test_what_is_packed_counts_too() -> None:
    assert JITTER in [name for _, name in found(packed())]
    assert since(URL_PREFIX + full_name(Listener), bytes(packed())) == (1, 39)


@pytest.mark.parametrize(
    ("type_url", "encoded"),
    [
        (URL_PREFIX + "envoy.unheard.v9.Of", b""),
        (URL_PREFIX + full_name(Cluster), b"\xff"),
        (URL_PREFIX + full_name(Listener), bytes(Listener(name="a"))),
    ],
)
def test_what_nobody_understands_is_left_to_envoy(type_url: str, encoded: bytes) -> None:
    assert since(type_url, encoded) == OLDEST
