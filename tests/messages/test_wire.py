"""Responses that are spliced are what the real encoders make of the same content."""

from envoy_data_plane.envoy.service.discovery import v3 as discovery
from envoy_data_plane.google import protobuf as google
from hypothesis import given
from hypothesis import strategies as st

from xds_server.messages import wire
from xds_server.messages.codec import decode
from xds_server.messages.envoy import ClusterLoadAssignment, DeltaDiscoveryResponse, DiscoveryResponse

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
BODIES = st.one_of(
    st.binary(min_size=1, max_size=40), st.sampled_from([b"x" * size for size in (127, 128, 16383, 16384, 40000)])
)
TEXTS = st.text(max_size=20)
ALIASES = st.lists(TEXTS, max_size=3).map(tuple)
ENTRIES = st.lists(st.builds(wire.Entry, TEXTS, TEXTS, st.none() | BODIES, ALIASES), max_size=4)


@given(st.lists(BODIES, max_size=4), TEXTS, TEXTS)
def test_discovery_response(bodies: list[bytes], version: str, nonce: str) -> None:
    encoded = wire.discovery_response(CLUSTER, nonce, version, bodies)
    response = decode(DiscoveryResponse, encoded)
    assert [(each.type_url, each.value) for each in response.resources] == [(CLUSTER, body) for body in bodies]
    assert (response.version_info, response.type_url, response.nonce) == (version, CLUSTER, nonce)
    assert response.SerializeToString() == encoded


@given(ENTRIES, TEXTS, st.lists(st.text(min_size=1, max_size=20), max_size=3))
def test_delta_discovery_response(entries: list[wire.Entry], nonce: str, removed: list[str]) -> None:
    encoded = wire.delta_discovery_response(CLUSTER, nonce, entries, removed)
    response = decode(DeltaDiscoveryResponse, encoded)
    assert [
        (each.name, each.version, each.resource.value if each.HasField("resource") else None, (*each.aliases,))
        for each in response.resources
    ] == entries
    assert {each.resource.type_url for each in response.resources if each.HasField("resource")} <= {CLUSTER}
    assert (list(response.removed_resources), response.type_url, response.nonce) == (removed, CLUSTER, nonce)
    assert len(response.SerializeToString()) == len(encoded)


def test_another_encoder_agrees() -> None:
    any_cluster = google.Any(type_url=CLUSTER, value=b"a")
    sotw = discovery.DiscoveryResponse(version_info="v", resources=[any_cluster], type_url=CLUSTER, nonce="1")
    assert wire.discovery_response(CLUSTER, "1", "v", [b"a"]) == bytes(sotw)
    resource = discovery.Resource(name="web", version="v", resource=any_cluster, aliases=["w"])
    denied = discovery.Resource(name="nobody", version="absent", aliases=["nobody", "n"])
    delta = discovery.DeltaDiscoveryResponse(
        resources=[resource, denied], removed_resources=["cart"], type_url=CLUSTER, nonce="1"
    )
    entries = [wire.Entry("web", "v", b"a", ("w",)), wire.Entry("nobody", "absent", None, ("nobody", "n"))]
    encoded = wire.delta_discovery_response(CLUSTER, "1", entries, ["cart"])
    assert discovery.DeltaDiscoveryResponse.parse(encoded) == delta


def test_an_empty_assignment_has_a_name_and_no_endpoints() -> None:
    assignment = decode(ClusterLoadAssignment, wire.empty_assignment("shop/web@9f1c2d7e"))
    assert (assignment.cluster_name, list(assignment.endpoints)) == ("shop/web@9f1c2d7e", [])


def test_what_many_proxies_are_sent_is_put_together_once() -> None:
    entries = [wire.Entry("shared", "1", b"of all")]
    before = wire.delta_but_for_the_nonce.cache_info().misses
    sent = {wire.delta_discovery_response("type", str(number), entries, ["gone"]) for number in range(1000)}
    assert len(sent) == 1000
    assert wire.delta_but_for_the_nonce.cache_info().misses == before + 1

    before = wire.but_for_the_nonce.cache_info().misses
    sent = {wire.discovery_response("type", str(number), "shared", [b"of all"]) for number in range(1000)}
    assert len(sent) == 1000
    assert wire.but_for_the_nonce.cache_info().misses == before + 1
