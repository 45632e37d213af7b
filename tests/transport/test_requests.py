import pytest

from tests.protocol.worlds import CDS, EDS
from xds_server.domain.errors import PeerMisbehaved
from xds_server.messages.bridge import upb_class
from xds_server.messages.envoy import DeltaDiscoveryRequest, DiscoveryRequest
from xds_server.protocol.events import DeltaRequest, Node, SotwRequest
from xds_server.transport.requests import delta_request, sotw_request

NODE = {
    "id": "edge-1",
    "cluster": "edge",
    "metadata": {"role": "gateway", "build": "9f1c2d7e", "other": 3},
    "user_agent_name": "envoy",
    "user_agent_build_version": {"version": {"major_number": 1, "minor_number": 40, "patch": 2}},
}


def test_a_sotw_request_is_read() -> None:
    request = upb_class(DiscoveryRequest)(
        type_url=EDS, resource_names=["x", "y"], version_info="7", response_nonce="3", node=NODE
    )
    node = Node("edge-1", cluster="edge", role="gateway", build="9f1c2d7e", version="1.40.2")
    assert sotw_request(request.SerializeToString()) == SotwRequest(EDS, ("x", "y"), "7", "3", None, node)


def test_a_delta_request_is_read() -> None:
    request = upb_class(DeltaDiscoveryRequest)(
        type_url=CDS,
        resource_names_subscribe=["a"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"},
        response_nonce="3",
        error_detail={"message": "bad"},
        node={"id": "grpc-1", "user_agent_name": "gRPC"},
    )
    expected = DeltaRequest(CDS, ("a",), ("b",), {"c": "1"}, "3", "bad", Node("grpc-1"))
    assert delta_request(request.SerializeToString()) == expected


def test_a_refusal_is_known_by_its_field_even_if_that_is_empty() -> None:  # R9
    request = upb_class(DiscoveryRequest)(type_url=CDS, error_detail={})
    assert sotw_request(request.SerializeToString()).error == ""


def test_a_node_without_an_id_is_nobody() -> None:  # R2
    request = upb_class(DiscoveryRequest)(type_url=CDS, node={"cluster": "edge"})
    assert sotw_request(request.SerializeToString()).node is None


@pytest.mark.parametrize("read", [sotw_request, delta_request])
def test_what_is_no_request_is_the_fault_of_the_client(read: type) -> None:
    with pytest.raises(PeerMisbehaved):
        read(b"\xff\xff")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, (0, 0, 0)),
        ({"outbound": "15001"}, (15001, 0, 0)),
        ({"outbound": "1", "inbound": "2", "application": "3"}, (1, 2, 3)),
        ({"outbound": 15001.0, "application": 8080.0}, (15001, 0, 8080)),
        ({"outbound": "", "inbound": "web", "application": "65536"}, (0, 0, 0)),
        ({"outbound": "-1", "inbound": "\u0661", "application": "65535"}, (0, 0, 65535)),
        ({"outbound": "9" * 5000}, (0, 0, 0)),
        ({"outbound": -1.0, "inbound": 1e300, "application": float("nan")}, (0, 0, 0)),
    ],
)
def test_where_a_sidecar_is_to_listen(metadata: dict[str, str | float], expected: tuple[int, int, int]) -> None:
    request = upb_class(DiscoveryRequest)(type_url=CDS, node={"id": "web-1", "cluster": "shop/web"})
    request.node.metadata.update(metadata)

    found = sotw_request(request.SerializeToString()).node
    assert found is not None
    assert found.ports == expected
