from tests.difference.edits import FILES, edited, shop
from tests.records.folder import deployment, gateway


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
