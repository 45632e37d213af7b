"""What a deployment lacks that a release newly gives requests."""

from typing import Any

import pytest

from tests.records.conditions import Outside
from tests.records.folder import Content, Server, build, deployment, documents, gateway, release
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.records.documents import read_documents
from xds_server.records.models import Release
from xds_server.records.readiness import NOTHING, Cold, Lacks, given_by, lacks

CHECKED = {"healthCheck": {"path": "/healthz"}}
WEB = [{"pathPrefix": "/"}]
SHOP = Ref("default", "shop")
B2 = BuildId(SHOP, "web", "b2")


def read(text: str) -> Release:
    [document] = read_documents("shop.yaml", text)
    assert isinstance(document.record, Release)
    return document.record


def shares(**weights: float) -> list[dict[str, Any]]:
    return [{"deployment": name, "weight": weight} for name, weight in weights.items()]


V1 = read(release("shop", "shop.test", to="v1"))
V2 = read(release("shop", "shop.test", to="v2"))


def found(*texts: str, before: Release | None = V1, wanted: Release = V2, outside: Outside | None = None) -> Lacks:
    """What `wanted` lacks where these records are in force."""
    files: dict[str, Content] = {"all.yaml": documents(gateway(), *texts)}
    return lacks(wanted, before, Server(files).admission.world.app(SHOP), outside or Outside())


DEPLOYED = (build("web-1", "b1"), deployment("v1", "b1"), deployment("v2", "b2"))
TWO = {"web": {"build": "b2", "routes": WEB}, "cart": {"build": "c1"}}


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        pytest.param({"default": shares(v1=100, v2=0)}, {"v1"}, id="not-what-is-only-listed"),
        pytest.param({"default": shares(v1=99.99, v2=0.01)}, {"v1", "v2"}, id="the-smallest-share"),
        pytest.param(
            {"audiences": [{"name": "a", "hosts": ["a.test"], "deployment": "v2"}]}, {"v1", "v2"}, id="an-audience"
        ),
        pytest.param(
            {"default": shares(v1=100, v2=0), "rollout": {"steps": [{"to": 100}]}}, {"v1", "v2"}, id="what-is-to-rise"
        ),
        pytest.param(
            {"default": shares(v2=0, v1=100), "rollout": {"steps": [{"to": 100}], "deployment": "v2"}},
            {"v1", "v2"},
            id="what-is-said-to-rise",
        ),
    ],
)
def test_who_gets_requests_by_a_release(spec, given):
    assert {each.name for each in given_by(read(release("shop", "shop.test", **spec)))} == given


def test_nothing_lacks_of_what_is_placed_and_has_no_health_check():
    assert found(*DEPLOYED, build("web-2", "b2")) is NOTHING


def test_an_entry_component_runs_nowhere():
    assert found(*DEPLOYED) == Lacks(
        ("spec", "default", 0, "deployment"),
        ("component web of v2 has no endpoint that takes requests (build b2)",),
        frozenset({B2}),
    )


def test_another_component_runs_nowhere_although_records_place_it():
    """A deployment is released as a whole: a request that enters it would fail on its way."""
    placed = build("cart-0", "c0", component="cart")
    v2 = deployment("v2", components=TWO)

    words = found(build("web-2", "b2"), placed, deployment("v1", "b1"), v2).words
    assert words == ("component cart of v2 has no endpoint that takes requests (build c1)",)


def test_another_component_that_no_record_places_is_not_asked_for():
    assert found(build("web-2", "b2"), deployment("v1", "b1"), deployment("v2", components=TWO)) is NOTHING


def test_a_build_that_what_is_in_force_gives_already_is_as_ready_as_it_was():
    assert found(build("web-1", "b1", **CHECKED), deployment("v1", "b1"), deployment("v2", "b1")) is NOTHING
    assert found(deployment("v1", "b1"), deployment("v2", "b1")) is NOTHING


def test_what_another_release_gives_already_is_as_ready_as_it_was():
    """A release that is called otherwise from now on must not wait while its hosts belong to nobody."""
    checked = build("web-1", "b1", **CHECKED)
    other = release("other", "other.test", to="v1")
    assert found(checked, deployment("v1", "b1"), other, before=None, wanted=V1) is NOTHING
    assert found(checked, deployment("v1", "b1"), before=None, wanted=V1).questions


def test_what_is_given_already_lacks_nothing():
    more = read(release("shop", "shop.test", "more.test", to="v1"))
    assert found(deployment("v1", "b1"), wanted=more) is NOTHING


def test_of_a_build_with_a_health_check_one_instance_must_have_passed_it():
    two = build("web-2", "b2", endpoints={"addresses": ["10.0.0.1:80", "10.0.0.2:80"]}, **CHECKED)
    outside = Outside()
    said = "component web of v2 (build b2) has not passed its health check"

    first = found(*DEPLOYED, two, outside=outside)
    assert first.words == (f"{said}: nobody has answered yet",)
    [question] = first.questions
    assert question.build == B2
    assert question.addresses == ("10.0.0.1:80", "10.0.0.2:80")

    outside.answers["10.0.0.1:80"] = "10.0.0.1:80 answered 503"
    assert found(*DEPLOYED, two, outside=outside).words == (f"{said}: 10.0.0.1:80 answered 503",)
    outside.answers["10.0.0.2:80"] = ""
    assert found(*DEPLOYED, two, outside=outside) is NOTHING


def test_instances_are_those_of_all_records_that_are_not_draining():
    one = build("one", "b2", endpoints={"addresses": ["10.0.0.1:80", {"address": "10.0.0.9:80", "draining": True}]})
    other = build("other", "b2", endpoints={"addresses": ["10.0.0.2:80"]})
    placed = (each.replace('"build": "b2"', '"build": "b2", "healthCheck": {}') for each in (one, other))

    [question] = found(*DEPLOYED, *placed).questions
    assert question.addresses == ("10.0.0.1:80", "10.0.0.2:80")


def test_a_name_is_asked_as_an_instance_is():
    [question] = found(*DEPLOYED, build("web-2", "b2", endpoints={"dns": "web.test:80"}, **CHECKED)).questions
    assert question.addresses == ("web.test:80",)


COLD = Cold("cluster v2/web is not warm at gateway edge-1 of edge", unlisted=True)


def cold() -> Outside:
    outside = Outside()
    outside.answers["10.0.0.1:8080"] = ""
    outside.clusters["v2"] = [COLD, COLD._replace(unlisted=False)]
    return outside


@pytest.mark.parametrize("more", [CHECKED, {"endpoints": {"dns": "web.test:80"}}], ids=["asked", "resolved"])
def test_clusters_that_may_stay_cold_must_be_warm(more):
    lack = found(*DEPLOYED, build("web-2", "b2", **more), outside=cold())
    assert lack.words == (COLD.words, COLD.words)
    assert lack.listed == (Ref("default", "v2"),)
    assert not lack.questions


def test_others_are_warm_as_soon_as_their_endpoints_are_there():
    assert found(*DEPLOYED, build("web-2", "b2"), outside=cold()) is NOTHING


def test_where_nothing_is_in_force_nobody_can_have_its_clusters():
    assert found(*DEPLOYED, build("web-2", "b2", **CHECKED), before=None, outside=cold()) is NOTHING
