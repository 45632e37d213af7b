import pytest

from xds_server.domain.names import Ref
from xds_server.extension import Context
from xds_server.messages.codec import encode
from xds_server.messages.envoy import Cluster, ClusterLoadAssignment, Listener, VirtualHost
from xds_server.resources.extensions import VIRTUAL_HOST, Call, Failure, Slot
from xds_server.resources.results import result
from xds_server.snapshot import TypeUrl


def call(type_url: str, name: str) -> Call:
    context = Context("Release", "default", "shop", {}, "edge")
    return Call(b"", Slot(type_url, "edge", name), b"", ("it",), context, Ref("default", "shop"))


@pytest.mark.parametrize(
    ("type_url", "message"),
    [
        (TypeUrl.LISTENER.value, Listener(name="it")),
        (TypeUrl.CLUSTER.value, Cluster(name="it")),
        (TypeUrl.ENDPOINTS.value, ClusterLoadAssignment(cluster_name="it")),
    ],
)
def test_the_same_resource_is_taken(type_url: str, message: Cluster):
    assert result(call(type_url, "it"), encode(message)) == encode(message)
    another = result(call(type_url, "another"), encode(message))
    assert isinstance(another, Failure)
    assert another.why.endswith("to 'it'")


def test_a_virtual_host_loses_its_name_which_differs_by_listener():
    host = VirtualHost(name="shop.test", domains=["shop.test"])

    assert result(call(VIRTUAL_HOST, "shop.test"), encode(host)) == encode(VirtualHost(domains=["shop.test"]))


@pytest.mark.parametrize("domains", [[], ["shop.test", "another.test"], ["*"]])
def test_a_virtual_host_keeps_its_domain(domains: list[str]):
    """Another host of the gateway may have it, and Envoy would refuse all of them."""
    found = result(call(VIRTUAL_HOST, "shop.test"), encode(VirtualHost(name="shop.test", domains=domains)))

    assert isinstance(found, Failure)
    assert "changed the domains" in found.why


def test_bytes_that_are_no_message_are_not_taken():
    found = result(call(VIRTUAL_HOST, "shop.test"), b"\xff\xff")

    assert isinstance(found, Failure)
    assert "is no VirtualHost" in found.why
