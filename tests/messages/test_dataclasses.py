"""A resource that goes through envoy-data-plane's dataclasses unchanged is byte for byte what it was."""

from pathlib import Path
from typing import Any

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import VirtualHost
from envoy_data_plane.google.protobuf import Any as Packed

from tests.test_pipeline import admitted, cases, files_of
from xds_server.extension import Context
from xds_server.messages.dataclasses import dataclass_url, explore, parsed, warm_up, written
from xds_server.pipeline import compile_world
from xds_server.resources.extensions import VIRTUAL_HOST, Call, Slot
from xds_server.resources.results import result
from xds_server.resources.virtual_hosts import named
from xds_server.snapshot import TypeUrl

TYPES = (Listener, Cluster, ClusterLoadAssignment)


@pytest.mark.parametrize("folder", cases())
def test_every_resource_survives_the_way_there_and_back(folder: Path) -> None:
    for parts in compile_world(admitted(files_of(folder)).world).gateways.values():
        for cls in TYPES:
            url = dataclass_url(cls) or ""
            for name, resource in parts.snapshot.of(TypeUrl(url)).items():
                assert there_and_back(cls, url, name, resource.body) == resource.body
        for host, body in parts.hosts.bodies.items():
            assert there_and_back(VirtualHost, VIRTUAL_HOST, host, named(host, body)) == body


def there_and_back(cls: Any, url: str, name: str, body: bytes) -> object:
    call = Call(b"", Slot(url, "edge", name), body, ("it",), Context("Gateway", "default", "edge", {}, "edge"), None)
    return result(call, written(parsed(cls, body)))


def test_what_is_no_message_has_no_type() -> None:
    assert [dataclass_url(each) for each in (7, int, Listener)] == [None, None, TypeUrl.LISTENER.value]


def test_to_explore_changes_nothing() -> None:
    """Packed messages of types that nobody knows are left alone."""
    unknown = Packed(type_url="type.googleapis.com/nobody.Knows", value=b"\x08\x01")
    host = VirtualHost(
        name="it", domains=["a"], typed_per_filter_config={"one": unknown, "two": Packed.pack(Cluster())}
    )
    before = bytes(host)
    warm_up(VirtualHost)
    explore(host)

    assert bytes(host) == before
