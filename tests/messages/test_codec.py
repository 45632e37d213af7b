from datetime import timedelta

import pytest

from xds_server.messages.codec import decode, encode, from_json, pack, to_json, type_url
from xds_server.messages.envoy import (
    Cluster,
    ClusterDiscoveryType,
    ClusterLoadAssignment,
    DiscoveryRequest,
    Filter,
    FilterChain,
    Listener,
    Node,
    Route,
    RouteConfiguration,
    VirtualHost,
)
from xds_server.messages.extensions import HttpConnectionManager, HttpFilter, OnDemand, Router, Secret
from xds_server.messages.google import Any, Struct, Value
from xds_server.messages.xds import MatcherOnMatch
from xds_server.snapshot import TypeUrl

LISTENER = Listener(
    name="edge/http",
    per_connection_buffer_limit_bytes=32768,
    filter_chains=[
        FilterChain(
            filters=[
                Filter(
                    name="http",
                    typed_config=pack(
                        HttpConnectionManager(
                            stat_prefix="edge_http",
                            stream_idle_timeout=timedelta(seconds=2.5),
                            http_filters=[
                                HttpFilter(name="router", typed_config=pack(Router(suppress_envoy_headers=True)))
                            ],
                        )
                    ),
                )
            ]
        )
    ],
)
LISTENER_JSON = {
    "name": "edge/http",
    "per_connection_buffer_limit_bytes": 32768,
    "filter_chains": [
        {
            "filters": [
                {
                    "name": "http",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network."
                        "http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "edge_http",
                        "stream_idle_timeout": "2.500s",
                        "http_filters": [
                            {
                                "name": "router",
                                "typed_config": {
                                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                                    "suppress_envoy_headers": True,
                                },
                            }
                        ],
                    },
                }
            ]
        }
    ],
}


def test_type_urls_are_those_of_the_snapshot() -> None:
    types = (Cluster, ClusterLoadAssignment, Secret, Listener, RouteConfiguration, VirtualHost)
    assert [type_url(cls) for cls in types] == list(TypeUrl)


def test_a_nested_type_has_its_real_name() -> None:
    assert type_url(MatcherOnMatch) == "type.googleapis.com/xds.type.matcher.v3.Matcher.OnMatch"


def test_a_packed_message_carries_its_type() -> None:
    cluster = Cluster(name="shop-v2/web")
    assert encode(pack(cluster)) == encode(Any(type_url=type_url(Cluster), value=encode(cluster)))


def test_a_decoded_message_reads_as_upb_does() -> None:
    request = decode(DiscoveryRequest, encode(DiscoveryRequest(node=Node(id="edge-1"), resource_names=["a", "b"])))
    assert (request.node.id, list(request.resource_names), request.error_detail.message) == ("edge-1", ["a", "b"], "")
    assert not request.HasField("error_detail")


def test_json_is_written_as_envoy_documents_it_with_packed_messages_expanded() -> None:
    assert to_json(type_url(Listener), encode(LISTENER)) == LISTENER_JSON


def test_json_reads_back_to_the_same_bytes() -> None:
    assert encode(from_json(Listener, LISTENER_JSON)) == encode(LISTENER)


def test_json_has_the_names_of_enum_values() -> None:
    encoded = encode(Cluster(type=ClusterDiscoveryType.STRICT_DNS))
    assert to_json(type_url(Cluster), encoded) == {"type": "STRICT_DNS"}


def test_json_of_a_struct_is_the_struct() -> None:
    fields = {"role": Value(string_value="gateway"), "deep": Value(struct_value=Struct(fields={}))}
    node = Node(metadata=Struct(fields=fields))
    assert to_json(type_url(Node), encode(node)) == {"metadata": {"role": "gateway", "deep": {}}}


def test_json_knows_types_that_are_packed_but_not_bridged() -> None:
    url = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"
    config = {"filter": Any(type_url=url, value=b"\x0a\x02\x08\x05")}
    assert to_json(type_url(Route), encode(Route(typed_per_filter_config=config))) == {
        "typed_per_filter_config": {"filter": {"@type": url, "max_request_bytes": 5}}
    }


def test_a_type_that_envoy_does_not_have_has_no_json() -> None:
    with pytest.raises(KeyError):
        to_json("type.googleapis.com/envoy.config.cluster.v3.Unheard", b"")


def test_an_empty_message_is_no_bytes() -> None:
    assert encode(OnDemand()) == b""
