from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from xds_server.domain.names import Ref
from xds_server.records.claims import Claim, claims_of, conflicts, only_at
from xds_server.records.models import Release

EDGE = Ref("default", "edge")


def wants(name: str, *hosts: str, gateways: tuple[str, ...] = ("edge",), **more: Any) -> Release:
    spec = {"app": "shop", "gateways": gateways, "hosts": hosts, "default": [{"deployment": "v1"}], **more}
    said = {"apiVersion": "xds-server.dev/v1alpha1", "kind": "Release", "metadata": {"name": name}, "spec": spec}
    return Release.model_validate(said)


def ref(name: str) -> Ref:
    return Ref("default", name)


def lost(wanted: Mapping[str, tuple[str, ...] | None], owners: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Who lost which host to whom. Of two the one whose name comes first is older."""
    asked = {ref(name): wants(name, *hosts) if hosts else None for name, hosts in wanted.items()}
    held: Map[Claim, Ref] = Map({Claim(EDGE, host): ref(name) for host, name in owners.items()})
    found = conflicts(asked, held, lambda each: each)
    return {who.name: (conflict.claim.host, conflict.winner.name) for who, conflict in found.items()}


@pytest.mark.parametrize(
    ("wanted", "owners", "expected"),
    [
        pytest.param({"a": ("x",), "b": ("y",)}, {}, {}, id="different-hosts"),
        pytest.param({"b": ("x",), "a": ("x",)}, {}, {"b": ("x", "a")}, id="of-two-new-ones-the-older"),
        pytest.param({"a": ("x",)}, {"x": "b"}, {"a": ("x", "b")}, id="who-has-it-keeps-it-also-from-an-older-one"),
        pytest.param(
            {"a": ("x",), "b": ("x", "y")}, {"x": "b"}, {"a": ("x", "b")}, id="who-has-it-and-changes-keeps-it"
        ),
        pytest.param({"a": ("x",), "b": None}, {"x": "b"}, {}, id="who-goes-leaves-it"),
        pytest.param({"a": ("x",), "b": ("y",)}, {"x": "b"}, {}, id="who-moves-leaves-it"),
        pytest.param({"a": ("y",), "b": ("x",)}, {"x": "a", "y": "b"}, {}, id="two-swap"),
        pytest.param({"a": ("y",), "b": ("z",), "c": ("x",)}, {"x": "a", "y": "b", "z": "c"}, {}, id="three-rotate"),
        pytest.param(
            {"a": ("y",), "b": ("z",)},
            {"x": "a", "y": "b", "z": "c"},
            {"a": ("y", "b"), "b": ("z", "c")},
            id="a-chain-whose-end-does-not-move-stays",
        ),
        pytest.param(
            {"a": ("y",), "b": ("z",), "d": ("x",)},
            {"x": "a", "y": "b", "z": "c"},
            {"a": ("y", "b"), "b": ("z", "c"), "d": ("x", "a")},
            id="who-cannot-move-keeps-what-it-had",
        ),
        pytest.param({"a": ("x", "y"), "b": ("x",)}, {"y": "c"}, {"a": ("y", "c")}, id="who-lost-to-a-loser-is-spared"),
        pytest.param({"a": ("x",), "b": ("*.x",)}, {}, {}, id="exact-and-wildcard-are-two-hosts"),
    ],
)
def test_who_gets_a_host(
    wanted: Mapping[str, tuple[str, ...] | None], owners: Mapping[str, str], expected: Mapping[str, tuple[str, str]]
) -> None:
    assert lost(wanted, owners) == expected


def test_the_same_host_on_two_gateways_is_two_claims() -> None:
    asked = {ref("a"): wants("a", "x"), ref("b"): wants("b", "x", gateways=("inner",))}

    assert conflicts(asked, Map(), lambda each: each) == {}
    assert set(claims_of(wants("a", "x", gateways=("edge", "prod.inner")))) == {
        Claim(EDGE, "x"),
        Claim(Ref("prod", "inner"), "x"),
    }


NAMES = "abcdef"
HOSTS = st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=3, unique=True)


@st.composite
def situations(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What some want, and what each has."""
    has: dict[str, list[str]] = {}
    free = list(draw(st.permutations("uvwxyz")))
    for name in draw(st.sets(st.sampled_from(NAMES))):
        if free:
            has[name] = [free.pop() for _ in range(draw(st.integers(1, min(3, len(free)))))]
    wanted = draw(st.dictionaries(st.sampled_from(NAMES), st.none() | HOSTS))
    return wanted, has


@given(situations())
def test_hosts_are_never_shared_and_nobody_is_held_back_for_nothing(
    situation: tuple[dict[str, Any], dict[str, list[str]]],
) -> None:
    wanted, has = situation
    owners = {host: name for name, hosts in has.items() for host in hosts}
    losers = lost(wanted, owners)

    after = {**has, **{name: hosts or [] for name, hosts in wanted.items() if name not in losers}}
    all_hosts = [host for hosts in after.values() for host in hosts]
    assert len(all_hosts) == len(set(all_hosts)), "one host belongs to one release"
    for name, (host, winner) in losers.items():
        assert host in wanted[name]
        assert winner != name
        assert host in after[winner]
        others = {other for each, hosts in after.items() if each != name for other in hosts}
        assert others & {*wanted[name]}, f"{name} could have had all that it wants"


@given(situations(), st.randoms())
def test_the_order_in_which_they_are_asked_never_matters(
    situation: tuple[dict[str, Any], dict[str, list[str]]], dice: Any
) -> None:
    wanted, has = situation
    owners = {host: name for name, hosts in has.items() for host in hosts}
    shuffled = dict(dice.sample(list(wanted.items()), len(wanted)))

    assert lost(shuffled, owners) == lost(wanted, owners)


def test_a_release_that_keeps_all_it_has_is_the_same() -> None:
    release = wants("a", "x", "y", gateways=("edge", "inner"))
    assert only_at(release, {*claims_of(release), Claim(EDGE, "z")}) is release


@pytest.mark.parametrize(
    ("kept", "hosts", "gateways"),
    [
        pytest.param(["edge/x", "inner/x"], ("x",), ("edge", "inner"), id="a-host-less"),
        pytest.param(["edge/x", "edge/y"], ("x", "y"), ("edge",), id="a-gateway-less"),
        pytest.param(["edge/x", "edge/y", "inner/x"], ("x",), ("edge", "inner"), id="not-at-every-gateway"),
        pytest.param(["edge/x", "inner/y"], None, None, id="nothing-at-every-gateway"),
        pytest.param([], None, None, id="nothing"),
    ],
)
def test_a_release_that_gives_something_up(
    kept: list[str], hosts: tuple[str, ...] | None, gateways: tuple[str, ...] | None
) -> None:
    claims = {Claim(ref(gateway), host) for gateway, _, host in (each.partition("/") for each in kept)}
    found = only_at(wants("a", "x", "y", gateways=("edge", "inner")), claims)
    assert (found and found.spec.hosts, found and found.spec.gateways) == (hosts, gateways)


def test_an_audience_goes_with_the_last_of_its_own_hosts() -> None:
    said = [
        {"name": "gone", "hosts": ["y"], "deployment": "v2"},
        {"name": "less", "hosts": ["y", "z"], "deployment": "v2"},
        {"name": "anywhere", "match": {"headers": [{"name": "x-beta", "exact": "1"}]}, "deployment": "v2"},
    ]
    release = wants("a", "x", audiences=said)
    found = only_at(release, {Claim(EDGE, "x"), Claim(EDGE, "z")})
    assert found is not None
    assert [(each.name, each.hosts) for each in found.spec.audiences] == [("less", ("z",)), ("anywhere", ())]
    assert found.spec.hosts == ("x",)
    assert release.spec.all_hosts == ("x", "y", "z"), "the record itself is as it was"
