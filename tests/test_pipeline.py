"""The whole road, a folder a case: `tests/cases/<case>/*.yaml` in, what Envoy would be told out (`tests/golden`)."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Golden
from tests.records import folder as writing
from xds_server.cli.reports import rendered
from xds_server.domain.names import Ref
from xds_server.messages.since import news
from xds_server.pipeline import EMPTY, Compilation, compile_world
from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable
from xds_server.records.world import World
from xds_server.records.yaml import documents as documents_of
from xds_server.records.yaml import value
from xds_server.snapshot import Delivery, Snapshot, TypeUrl

CASES = Path(__file__).parent / "cases"
SAMPLE = Path(__file__).parent.parent / "manifests" / "shop"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EDGE = Ref("default", "edge")


def files_of(folder: Path) -> dict[str, Readable]:
    return {file.name: Readable(file.read_text("utf-8")) for file in sorted(folder.glob("*.yaml"))}


def admitted(files: Mapping[str, Readable]) -> Admission:
    return admit(Admission(), Batch(files, complete=True), NOON, folder="records")


def cases() -> list[Any]:
    return [pytest.param(folder, id=folder.name) for folder in (SAMPLE, *sorted(CASES.iterdir()))]


class _Plain(yaml.SafeDumper):
    """Long texts as they are, so that a diff of the Lua filter can be read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


@pytest.mark.parametrize("folder", cases())
def test_compile(folder: Path, golden: Golden):
    admission = admitted(files_of(folder))
    compilation = compile_world(admission.world)

    golden.check("problems.txt", "".join(f"{problem}\n" for problem in admission.problems))
    for gateway, parts in compilation.gateways.items():
        for type_url, resources in rendered(parts.snapshot).items():
            if type_url != TypeUrl.VIRTUAL_HOST:  # the full set has them in its route configurations
                golden.check(f"{gateway.word}/{file_of(type_url)}", written(resources))


@pytest.mark.parametrize("folder", [SAMPLE, CASES / "denied"], ids=lambda folder: folder.name)
def test_compile_on_demand(folder: Path, golden: Golden):
    """What is not told as it is in full delivery."""
    for parts in compile_world(admitted(files_of(folder)).world).gateways.values():
        full, on_demand = (rendered(parts.snapshots[delivery]) for delivery in (Delivery.FULL, Delivery.ON_DEMAND))
        for type_url, resources in on_demand.items():
            if resources != full.get(type_url):
                golden.check(file_of(type_url), written(resources))


def file_of(type_url: str) -> str:
    return f"{type_url.rpartition('.')[2]}.yaml"


def written(resources: Any) -> str:
    return str(yaml.dump(resources, Dumper=_Plain, sort_keys=False, width=120))


def said(compilation: Compilation) -> dict[tuple[Ref, Delivery], dict[TypeUrl, dict[str, tuple[Any, ...]]]]:
    """Every byte that any proxy could be told."""
    return {
        (ref, delivery): {
            t: {name: (r.version, r.needs, r.refuses, r.body) for name, r in snapshot.of(t).items()} for t in TypeUrl
        }
        for ref, parts in compilation.gateways.items()
        for delivery, snapshot in parts.snapshots.items()
    }


@pytest.mark.parametrize("folder", cases())
def test_the_oldest_supported_envoy_knows_all_that_comes_from_records(folder: Path):
    """It drops a field that it does not know, and what the field would have narrowed is then for everybody."""
    for parts in compile_world(admitted(files_of(folder)).world).gateways.values():
        for snapshot in parts.snapshots.values():
            for kind in TypeUrl:
                for resource in snapshot.of(kind).values():
                    assert news(kind, resource.body) == ()


@pytest.mark.parametrize("folder", cases())
def test_the_order_of_records_changes_no_byte(folder: Path):
    """Documents of all files in one file, in any order."""
    expected = said(compile_world(admitted(files_of(folder)).world))
    documents = [value(node) for file in files_of(folder).values() for node in documents_of(file.text)]
    dice = random.Random(1)

    for _ in range(5):
        dice.shuffle(documents)
        shuffled = [in_any_order(each, dice) for each in documents]
        text = yaml.dump_all(shuffled, sort_keys=False)
        assert said(compile_world(admitted({"all.yaml": Readable(text)}).world)) == expected


def in_any_order(document: Any, dice: random.Random) -> Any:
    """The fields of every mapping in another order, which means nothing; that of a list does."""
    match document:
        case dict():
            return {key: in_any_order(each, dice) for key, each in dice.sample(list(document.items()), len(document))}
        case list():
            return [in_any_order(each, dice) for each in document]
        case _:
            return document


def test_compiling_again_changes_nothing_and_makes_nothing_new():
    world = admitted(files_of(SAMPLE)).world
    first = compile_world(world)
    second = compile_world(world, first)

    for delivery in Delivery:
        assert second.gateways[EDGE].snapshots[delivery] is first.gateways[EDGE].snapshots[delivery]


def test_two_gateways_have_their_own_listeners_and_share_their_endpoints():
    compilation = compile_world(admitted(files_of(CASES / "two-gateways")).world)
    snapshots = [parts.snapshot for parts in compilation.gateways.values()]

    assert len({frozenset(s.of(TypeUrl.LISTENER)) for s in snapshots}) == 2
    assert snapshots[0].of(TypeUrl.ENDPOINTS) is snapshots[1].of(TypeUrl.ENDPOINTS)


RELEASE = files_of(SAMPLE)["release.yaml"].text
V1 = files_of(SAMPLE)["v1.yaml"].text
BUILDS = files_of(SAMPLE)["builds.yaml"].text
EDITS = {
    "flip": ("release.yaml", RELEASE.replace("weight: 100", "weight: 99.99").replace("weight: 0}", "weight: 0.01}")),
    "roll back": ("release.yaml", RELEASE),
    "no audiences": ("release.yaml", RELEASE[: RELEASE.index("  audiences:")]),
    "header": (
        "release.yaml",
        RELEASE.replace("sticky: {cookie: shop-user, maxAge: 365d}", "sticky: {header: x-user}"),
    ),
    "deploy v3": ("v3.yaml", V1.replace("shop-v1", "shop-v3").replace('"v1"', '"v3"').replace("77aa01bc", "77aa01bd")),
    "delete v3": ("v3.yaml", None),
    "endpoints": ("builds.yaml", BUILDS.replace("9001", "9011")),
    "endpoints back": ("builds.yaml", BUILDS),
    "http2": ("builds.yaml", BUILDS.replace("component: web", "protocol: http2\n  component: web")),
    "broken": ("v2.yaml", "a: ["),
    "second app": ("other.yaml", V1.replace("shop", "other")),
    "no second app": ("other.yaml", None),
}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(EDITS)), max_size=12))
def test_what_is_reused_is_what_would_be_made_anew(edits: list[str]):
    admission = admitted(files_of(SAMPLE))
    compilation = compile_world(admission.world)
    for edit in edits:
        name, text = EDITS[edit]
        batch = Batch({name: Readable(text) if text is not None else None})
        admission = admit(admission, batch, NOON, folder="records")
        before, compilation = compilation, compile_world(admission.world, compilation, admission.touched)

        assert said(compilation) == said(compile_world(admission.world))
        assert_changes_are_told(before, compilation)


def assert_changes_are_told(before: Compilation, after: Compilation) -> None:
    """A snapshot that follows another names exactly what differs."""
    for delivery in Delivery:
        old, new = before.gateways[EDGE].snapshots[delivery], after.gateways[EDGE].snapshots[delivery]
        if old is new:
            continue
        assert new.since == old.serial < new.serial
        for type_url in TypeUrl:
            one, two = old.of(type_url), new.of(type_url)
            assert new.changed.get(type_url, frozenset()) == {n for n in {*one, *two} if one.get(n) != two.get(n)}


def test_a_flip_changes_routes_only():
    admission = admitted(files_of(SAMPLE))
    before = compile_world(admission.world)
    flipped = admit(admission, Batch({"release.yaml": Readable(EDITS["flip"][1] or "")}), NOON, folder="records")
    after = compile_world(flipped.world, before, flipped.touched).gateways[EDGE].snapshots

    assert changed(after[Delivery.FULL]) == {TypeUrl.ROUTES: {"edge/http"}}
    assert changed(after[Delivery.ON_DEMAND]) == {TypeUrl.VIRTUAL_HOST: {"edge/http/shop.localhost"}}


def test_a_gateway_may_want_everything_delivered_and_change_its_mind():
    files = files_of(SAMPLE)
    name = next(name for name, file in files.items() if "kind: Gateway" in file.text)
    full = Readable(files[name].text.replace("\nspec:\n", "\nspec:\n  delivery: full\n"))
    assert "delivery: full" in full.text
    admission = admitted({**files, name: full})
    first = compile_world(admission.world)
    snapshots = first.gateways[EDGE].snapshots
    assert snapshots[Delivery.FULL] is snapshots[Delivery.ON_DEMAND]
    assert not snapshots[Delivery.FULL].on_demand

    after = admit(admission, Batch({name: files[name]}), NOON, folder="records")
    second = compile_world(after.world, first, after.touched)
    told = second.gateways[EDGE].snapshots[Delivery.ON_DEMAND]
    assert (told.on_demand, told.since) == (True, -1)
    assert {kind: frozenset(told.of(kind)) for kind in told.resources} == told.changed
    assert said(second) == said(compile_world(after.world))


def changed(snapshot: Snapshot) -> dict[TypeUrl, frozenset[str]]:
    return {kind: names for kind, names in snapshot.changed.items() if names}


def test_an_empty_world_has_no_gateway():
    assert compile_world(World(), EMPTY).gateways == {}


def test_what_an_app_has_is_there_after_another_one_that_had_it_too_has_given_it_up() -> None:
    """A deployment that waits to leave, and one of another app that has its name by now: also a host and a cluster."""
    shop = admitted(said_by("shop")).world
    blog = admitted(said_by("blog")).world
    both = replace(shop, apps=shop.apps.update(blog.apps))
    for first, last in ((shop, blog), (blog, shop)):
        found = compile_world(last, compile_world(both, compile_world(first)))
        assert said(found) == said(compile_world(last))
    none = replace(shop, apps=type(shop.apps)())
    assert said(compile_world(none, compile_world(both))) == said(compile_world(none))


def said_by(app: str) -> dict[str, Readable]:
    """A gateway, and an app with a deployment v1 at shop.test."""
    texts = [
        writing.gateway(template=".p.test"),
        writing.build(f"{app}-1", "b1", app=app),
        writing.deployment("v1", "b1", app=app),
        writing.release(app, "shop.test", app=app),
    ]
    return {"all.yaml": Readable(writing.documents(*texts))}
