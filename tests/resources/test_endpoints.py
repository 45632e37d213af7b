from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.messages.codec import encode, to_json
from xds_server.messages.envoy import (
    ClusterLoadAssignment,
    Endpoint,
    HealthStatus,
    LbEndpoint,
    Locality,
    LocalityLbEndpoints,
)
from xds_server.records.models import API_VERSION, Build
from xds_server.resources.endpoints import assignment, socket_address
from xds_server.snapshot import TypeUrl

WEB = BuildId(Ref("default", "shop"), "web", "b1")


def placed(name: str, *addresses: Any) -> Build:
    spec = {"app": "shop", "component": "web", "build": "b1", "endpoints": {"addresses": list(addresses)}}
    said = {"apiVersion": API_VERSION, "kind": "Build", "metadata": {"name": name}, "spec": spec}
    return Build.model_validate(said)


def rendered(*records: Build) -> dict[str, Any]:
    resource = assignment(WEB, records)
    assert resource.name == "shop/web@b1"
    return to_json(TypeUrl.ENDPOINTS, resource.body)


def test_a_build_that_no_record_places_has_an_empty_assignment() -> None:
    assert rendered() == {"cluster_name": "shop/web@b1"}
    assert rendered(placed("a")) == {"cluster_name": "shop/web@b1"}


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        pytest.param("10.0.0.1:80", {}, id="plain"),
        pytest.param({"address": "10.0.0.1:80", "weight": 2}, {"load_balancing_weight": 2}, id="weighted"),
        pytest.param({"address": "10.0.0.1:80", "draining": True}, {"health_status": "DRAINING"}, id="draining"),
        pytest.param({"address": "10.0.0.1:80", "priority": 1}, {}, id="a-reserve-of-nobody"),
    ],
)
def test_an_instance(instance: Any, expected: dict[str, Any]) -> None:
    [locality] = rendered(placed("a", instance))["endpoints"]
    [found] = locality["lb_endpoints"]

    address = {"socket_address": {"address": "10.0.0.1", "port_value": 80}}
    assert found == {"endpoint": {"address": address}, **expected}


def test_a_draining_instance_is_left_out_while_there_is_another() -> None:
    draining = {"address": "10.0.0.1:80", "draining": True}
    [locality] = rendered(placed("a", draining), placed("b", "10.0.0.2:80"))["endpoints"]

    [only] = locality["lb_endpoints"]
    assert only["endpoint"]["address"]["socket_address"]["address"] == "10.0.0.2"


def test_zones_are_localities_and_ipv6_has_no_brackets() -> None:
    one, other = rendered(placed("a", {"address": "[::1]:80", "zone": "b"}, "10.0.0.1:80"))["endpoints"]

    assert "locality" not in one
    assert other["locality"] == {"zone": "b"}
    assert other["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] == "::1"


def ranked(*records: Build) -> dict[int, set[str]]:
    """Each instance's port, by the priority that Envoy is told."""
    found: dict[int, set[str]] = {}
    for each in rendered(*records).get("endpoints", []):
        ports = {str(said["endpoint"]["address"]["socket_address"]["port_value"]) for said in each["lb_endpoints"]}
        found.setdefault(each.get("priority", 0), set()).update(ports)
    return found


def at(port: int, priority: int = 0, **said: Any) -> dict[str, Any]:
    return {"address": f"10.0.0.1:{port}", "priority": priority, **said}


def test_priorities_have_no_gaps_whichever_record_says_them() -> None:
    assert ranked(placed("a", at(1), at(2, 7)), placed("b", at(3, 5, zone="z"), at(4, zone="z"))) == {
        0: {"1", "4"},
        1: {"3"},
        2: {"2"},
    }


@pytest.mark.parametrize(
    ("drain", "expected"),
    [
        pytest.param({1}, {0: {"2"}, 1: {"3"}}, id="another-of-its-priority-serves"),
        pytest.param({1, 2}, {0: {"3"}}, id="the-reserve-serves"),
        pytest.param({3}, {0: {"1", "2"}}, id="no-reserve"),
        pytest.param({1, 2, 3}, {0: {"1", "2"}, 1: {"3"}}, id="all-drain"),
    ],
)
def test_a_reserve_serves_for_those_that_drain_when_none_is_left_before_it(
    drain: set[int], expected: dict[int, set[str]]
) -> None:
    priorities = {1: 0, 2: 0, 3: 1}

    assert (
        ranked(placed("a", *(at(port, number, draining=port in drain) for port, number in priorities.items())))
        == expected
    )


PORT = st.integers(1, 65535)
HOST = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map("[{}]".format))
WRITTEN = st.lists(
    st.fixed_dictionaries(
        {"address": st.builds("{}:{}".format, HOST, PORT)},
        optional={
            "zone": st.sampled_from(["a", "b"]),
            "weight": st.sampled_from([1, 2, 127, 128]),
            "priority": st.sampled_from([0, 1, 5, 127]),
            "draining": st.booleans(),
        },
    ),
    unique_by=lambda each: each["address"],
    max_size=5,
)


@given(WRITTEN)
def test_fields_are_what_the_messages_themselves_encode_to(instances: list[dict[str, Any]]) -> None:
    built = ClusterLoadAssignment(cluster_name=WEB.word, endpoints=list(localities(instances)))

    assert assignment(WEB, [placed("a", *instances)]).body == encode(built)


def localities(instances: list[dict[str, Any]]) -> Iterator[LocalityLbEndpoints]:
    serving = [each for each in instances if not each.get("draining")] or instances
    priorities = sorted({each.get("priority", 0) for each in serving})
    for priority, zone in sorted({(each.get("priority", 0), each.get("zone", "")) for each in serving}):
        members = [each for each in serving if (each.get("priority", 0), each.get("zone", "")) == (priority, zone)]
        yield LocalityLbEndpoints(
            locality=Locality(zone=zone) if zone else None,
            priority=priorities.index(priority),
            lb_endpoints=[lb_endpoint(each) for each in sorted(members, key=lambda each: each["address"])],
        )


def lb_endpoint(instance: dict[str, Any]) -> LbEndpoint:
    return LbEndpoint(
        endpoint=Endpoint(address=socket_address(instance["address"])),
        health_status=HealthStatus.DRAINING if instance.get("draining") else HealthStatus.UNKNOWN,
        load_balancing_weight=instance["weight"] if instance.get("weight", 1) > 1 else None,
    )


ADDRESS = st.builds("10.0.{}.{}:80".format, st.integers(0, 1), st.integers(1, 4))
INSTANCES = st.lists(
    st.fixed_dictionaries(
        {
            "address": ADDRESS,
            "zone": st.sampled_from(["", "a", "b"]),
            "priority": st.integers(0, 3),
            "draining": st.booleans(),
        }
    ),
    unique_by=lambda each: each["address"],
)


@given(INSTANCES, st.randoms(use_true_random=False), st.integers(0, 5))
def test_order_and_records_never_matter(instances: list[dict[str, Any]], dice: Any, cut: int) -> None:
    """The same instances, in any order, by one record or two: the same bytes."""
    shuffled = dice.sample(instances, len(instances))

    one = assignment(WEB, [placed("a", *instances)])
    other = assignment(WEB, [placed("b", *shuffled[cut:]), placed("a", *shuffled[:cut])])
    assert (one.version, one.body) == (other.version, other.body)


@given(INSTANCES)
def test_who_is_asked_first_is_the_first_that_does_not_drain(instances: list[dict[str, Any]]) -> None:
    serving = [each for each in instances if not each["draining"]] or instances
    told = rendered(placed("a", *instances)).get("endpoints", [])

    numbers = [each.get("priority", 0) for each in told]
    assert sorted(set(numbers)) == list(range(len(set(numbers))))
    for locality in told:
        [wanted] = {
            each["priority"]
            for said in locality["lb_endpoints"]
            for each in serving
            if each["address"].partition(":")[0] == said["endpoint"]["address"]["socket_address"]["address"]
        }
        before = {each["priority"] for each in serving if each["priority"] < wanted}
        assert locality.get("priority", 0) == len(before)
