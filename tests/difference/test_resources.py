from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.difference.edits import FILES, edited, shop
from tests.records.folder import Server, deployment, gateway
from xds_server.difference.comparison import Served, difference, served
from xds_server.snapshot import TypeUrl


def said(edits: dict[str, str | None], files: dict[str, str | None] | None = None) -> dict[str, tuple[object, ...]]:
    found = edited(edits, files).resources
    return {f"{each.gateway.word}/{each.kind}": (each.came, each.changed, each.went) for each in found}


def test_a_flip_changes_the_virtual_host_and_the_route_configuration_that_holds_it():
    assert said({"shop.yaml": shop(default=[{"deployment": "v2"}])}) == {
        "edge/RouteConfiguration": ((), ("edge/http",), ()),
        "edge/VirtualHost": ((), ("shop.test",), ()),
    }


def test_a_deployment_brings_its_clusters_and_its_own_host():
    found = said({"v4.yaml": deployment("v4", "b1")})

    assert found["edge/Cluster"] == (("v4/web",), (), ())
    assert found["edge/VirtualHost"] == (("v4.preview.test",), (), ())
    assert "edge/ClusterLoadAssignment" not in found


def test_a_gateway_that_goes_takes_everything_along():
    found = said({"inner.yaml": None}, {**FILES, "inner.yaml": gateway("inner")})

    assert found["inner/Listener"] == ((), (), ("inner/http",))
    assert all(name.startswith("inner/") for name in found)


def naive(before: Served, after: Served) -> dict[tuple[str, str], tuple[set[str], set[str], set[str]]]:
    """Everything of both compared with everything."""
    found = {}
    for ref in {*before.compilation.gateways, *after.compilation.gateways}:
        one, two = before.compilation.gateways.get(ref), after.compilation.gateways.get(ref)
        kinds: dict[str, tuple[Any, Any]] = {
            url.rpartition(".")[2]: (one.snapshot.of(url) if one else {}, two.snapshot.of(url) if two else {})
            for url in TypeUrl
        }
        kinds["VirtualHost"] = (one.hosts.bodies if one else {}, two.hosts.bodies if two else {})
        for kind, (old, new) in kinds.items():
            changed = {name for name in old if name in new and old[name] != new[name]}
            if changed or set(old) != set(new):
                found[ref.word, kind] = (set(new) - set(old), changed, set(old) - set(new))
    return found


EDITS: dict[str, tuple[str, str | None]] = {
    "flip": ("shop.yaml", shop(default=[{"deployment": "v2"}])),
    "back": ("shop.yaml", FILES["shop.yaml"]),
    "deploy": ("v4.yaml", deployment("v4", "b4")),
    "delete": ("v4.yaml", None),
    "endpoints": ("builds.yaml", FILES["builds.yaml"].replace("10.0.0.1", "10.0.0.2")),
    "second gateway": ("inner.yaml", gateway("inner")),
    "no second gateway": ("inner.yaml", None),
    "no selectors": ("edge.yaml", gateway()),
    "another template": ("edge.yaml", gateway(template=".other.test")),
    "second app": ("other.yaml", deployment("other-v1", app="other")),
    "no second app": ("other.yaml", None),
}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(EDITS)), max_size=8), st.booleans())
def test_looking_at_what_changed_finds_what_looking_at_everything_finds(edits: list[str], reuse: bool):
    server = Server(FILES)
    before = served(server.admission)
    for edit in edits:
        server.hears(dict([EDITS[edit]]))
    after = served(server.admission, before if reuse else None)

    said = {(each.gateway.word, each.kind): each for each in difference(before, after).resources}
    assert {name: (set(each.came), set(each.changed), set(each.went)) for name, each in said.items()} == naive(
        before, after
    )
