from tests.difference.edits import FILES, edited
from tests.records.folder import deployment, gateway, record
from xds_server.difference.explicit import ExplicitChange
from xds_server.domain.names import Ref

EDGE = Ref("default", "edge")
V1, V2, V3, V4 = (Ref("default", f"v{number}") for number in (1, 2, 3, 4))


def test_a_deployment_that_comes_can_be_asked_for_and_one_that_goes_cannot():
    [change] = edited({"v4.yaml": deployment("v4", "b1"), "v3.yaml": None}).explicit

    assert (change.gateway, change.came, change.went) == (EDGE, (V4,), (V3,))
    assert change.before == change.after


def test_a_gateway_without_selectors_has_nothing_to_say():
    files = {**FILES, "edge.yaml": gateway()}

    assert edited({"v4.yaml": deployment("v4", "b1")}, files).explicit == ()


def test_a_gateway_that_begins_to_serve_by_name_serves_every_deployment():
    [change] = edited({"edge.yaml": FILES["edge.yaml"]}, {**FILES, "edge.yaml": gateway()}).explicit

    assert (change.before, change.came, change.went) == (None, (V1, V2, V3), ())


def test_a_gateway_that_denies_serves_none_any_more():
    explicit = {"host": "{deployment}.preview.test", "access": "denied"}
    denied = record("Gateway", "edge", {"listeners": [{"name": "http", "port": 8080}], "explicit": explicit})

    [change] = edited({"edge.yaml": denied}).explicit

    assert (change.came, change.went) == ((), (V1, V2, V3))


def test_another_template_is_said_though_the_deployments_are_the_same():
    [change] = edited({"edge.yaml": gateway(template=".other.test")}).explicit

    assert isinstance(change, ExplicitChange)
    assert change.after is not None
    assert (change.after.host, change.came, change.went) == ("{deployment}.other.test", (), ())
