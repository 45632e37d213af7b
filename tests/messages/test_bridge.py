"""Our constructors against betterproto2: equal arguments, equal messages, in both directions."""

from collections import defaultdict
from datetime import timedelta
from random import Random

import betterproto2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.messages.arbitrary import MessageType, arbitrary, bridged, dataclass_itself, types_in_use
from xds_server.messages.bridge import bridge, upb_class
from xds_server.messages.codec import decode, encode
from xds_server.messages.descriptors import full_name
from xds_server.messages.envoy import (
    Cluster,
    ClusterDiscoveryType,
    HeaderMatcher,
    HeaderValue,
    Route,
    RouteAction,
    VirtualHost,
)
from xds_server.messages.google import Any

BY_PACKAGE: dict[str, list[MessageType]] = defaultdict(list)
for _cls in types_in_use():
    BY_PACKAGE[_cls.__module__.removeprefix("envoy_data_plane.")].append(_cls)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # random fields are deprecated ones too

for_every_type_in_use = pytest.mark.parametrize("package", sorted(BY_PACKAGE))
some_examples = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**32)


def dataclass_named(name: str) -> MessageType:
    return next(cls for cls in types_in_use() if full_name(cls) == name)


@for_every_type_in_use
@some_examples
@given(seeds)
def test_bytes_are_those_of_betterproto2(package: str, seed: int) -> None:
    for cls in BY_PACKAGE[package]:
        described = arbitrary(cls, Random(seed))
        ours, theirs = encode(described.by(bridged)), bytes(described.by(dataclass_itself))
        assert len(ours) == len(theirs), described
        # betterproto2 writes fields and map entries in the order of the source and of the dict, upb sorts them
        assert ours == encode(decode(bridged(cls), theirs)), described


@for_every_type_in_use
@some_examples
@given(seeds)
def test_betterproto2_reads_what_we_wrote(package: str, seed: int) -> None:
    for cls in BY_PACKAGE[package]:
        described = arbitrary(cls, Random(seed))
        assert cls.parse(encode(described.by(bridged))) == described.by(dataclass_itself)


def test_deep_messages_agree_too() -> None:
    """Every list and every oneof of a route, four messages deep, however long that takes betterproto2."""
    dataclass = dataclass_named("envoy.config.route.v3.RouteConfiguration")
    described = arbitrary(dataclass, Random(3), depth=4)
    theirs = bytes(described.by(dataclass_itself))
    assert len(theirs) > 1000
    assert encode(described.by(bridged)) == encode(decode(bridged(dataclass), theirs))


def test_a_wrapper_of_zero_is_not_an_absent_one() -> None:
    assert encode(Cluster(per_connection_buffer_limit_bytes=0)) != encode(Cluster())
    assert encode(Cluster(per_connection_buffer_limit_bytes=None)) == encode(Cluster())


def test_plain_python_values_become_the_well_known_types() -> None:
    cluster: object = Cluster(connect_timeout=timedelta(milliseconds=250), per_connection_buffer_limit_bytes=7)
    text = str(cluster)
    assert "nanos: 250000000" in text
    assert "value: 7" in text


def test_an_argument_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="nam"):
        Cluster(nam="shop-v2/web")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"name": 5}, id="number-for-text"),
        pytest.param({"connect_timeout": 5}, id="number-for-duration"),
        pytest.param({"per_connection_buffer_limit_bytes": "5"}, id="text-for-wrapped-number"),
        pytest.param({"eds_cluster_config": HeaderValue()}, id="another-message"),
        pytest.param({"type": object()}, id="object-for-enum"),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Cluster(**arguments)  # type: ignore[arg-type]


def test_arguments_have_names() -> None:
    with pytest.raises(TypeError):
        HeaderValue("x-deployment", "shop-v2")


def test_two_members_of_one_oneof_are_refused() -> None:
    with pytest.raises(ValueError, match="only one of exact_match, present_match"):
        HeaderMatcher(name="x", exact_match="a", present_match=True)


def test_an_absent_member_of_a_oneof_is_no_rival() -> None:
    assert encode(HeaderMatcher(exact_match="a", present_match=None)) == encode(HeaderMatcher(exact_match="a"))


def test_members_of_two_oneofs_go_together() -> None:
    both = encode(RouteAction(cluster="a", host_rewrite_literal="b"))
    assert both == encode(RouteAction(cluster="a")) + encode(RouteAction(host_rewrite_literal="b"))


def test_one_message_may_be_part_of_many() -> None:
    route = Route(name="all", route=RouteAction(cluster="shop-v2/web"))
    assert encode(VirtualHost(routes=[route, route])) == 2 * encode(VirtualHost(routes=[route]))


def test_the_order_of_a_map_changes_no_byte() -> None:
    keys = [f"filter-{number}" for number in range(20)]
    configs = {key: Any(type_url=key) for key in keys}
    backwards = {key: configs[key] for key in reversed(keys)}
    assert encode(Route(typed_per_filter_config=configs)) == encode(Route(typed_per_filter_config=backwards))


def test_a_type_can_be_asked_about_and_written_in_annotations() -> None:
    assert isinstance(Cluster(name="a"), Cluster)
    assert not isinstance(HeaderValue(), Cluster)
    assert (Cluster | None) != (HeaderValue | None)


def test_enums_stay_what_they_are() -> None:
    assert issubclass(ClusterDiscoveryType, betterproto2.Enum)


def test_only_bridged_types_have_a_class_of_upb() -> None:
    with pytest.raises(AssertionError, match="not bridged"):
        upb_class(dataclass_named("envoy.config.cluster.v3.Cluster"))


def test_bridging_twice_gives_the_same_type() -> None:
    names = {"Ours": dataclass_named("envoy.config.cluster.v3.Cluster")}
    bridge(names)
    bridge(names)
    assert names == {"Ours": Cluster}
