"""A release waits until what it newly gives is ready. What is in force stays until then, and after it has failed."""

from datetime import timedelta
from typing import Any

import pytest

from tests.records.conditions import Activating
from tests.records.folder import NOON, SHOP, Content, Server, build, deployment, documents, release
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.records.admission import pinned, set_by, unpinned
from xds_server.records.pins import Pin
from xds_server.records.readiness import Cold

SHOP_REF, V1, V2 = (Ref("default", name) for name in ("shop", "v1", "v2"))
RELEASE = "Release/default/shop"
CHECK = {"healthCheck": {"path": "/healthz"}}
WEB_2 = "10.0.0.2:80"
BUILDS = documents(build("web-1", "b1"), build("web-2", "b2", WEB_2, **CHECK))
UNWELL = f"{WEB_2} answered 503"


def at_v2(**spec: Any) -> dict[str, Content]:
    return {"shop.yaml": release("shop", "shop.test", to="v2", **spec)}


def listed(server: Server) -> dict[str, int]:
    """What gateways are told of the default."""
    told = server.admission.world.app(SHOP_REF).releases[SHOP_REF]
    return {ref.name: weight for ref, weight in told.weights}


def serves(server: Server) -> str:
    [share] = server.serves[RELEASE]["default"]
    return str(share["deployment"])


def said(server: Server) -> Problem:
    [problem] = [each for each in server.admission.problems if each.record == RELEASE]
    return problem


@pytest.fixture
def shop() -> Activating:
    """v1 is released; v2 has a health check that nobody has answered yet."""
    return Activating({**SHOP, "builds.yaml": BUILDS})


def test_it_waits_for_an_answer_and_is_in_force_with_it(shop):
    shop.hears(at_v2())

    assert serves(shop) == "v1"
    assert (said(shop).reason, said(shop).severity) == (Reason.PENDING, Severity.WARNING)
    assert said(shop).what == (
        "waits: component web of v2 (build b2) has not passed its health check: nobody has answered yet"
    )
    [(_, pending)] = shop.admission.waiting
    assert [each.addresses for each in pending.questions] == [(WEB_2,)]

    shop.outside.answers[WEB_2] = UNWELL
    shop.reconsiders()
    assert said(shop).what.endswith(UNWELL)

    shop.outside.answers[WEB_2] = ""
    shop.reconsiders()
    assert serves(shop) == "v2"
    assert shop.said == ""
    assert not shop.admission.pending


def test_what_is_known_to_be_well_comes_into_force_in_the_same_turn(shop):
    shop.outside.answers[WEB_2] = ""
    shop.hears(at_v2())
    assert serves(shop) == "v2"


def test_an_endpoint_that_comes_later(shop):
    shop.hears({"v3.yaml": deployment("v3", "b3"), "shop.yaml": release("shop", "shop.test", to="v3")})
    assert said(shop).what == "waits: component web of v3 has no endpoint that takes requests (build b3)"
    assert serves(shop) == "v1"

    shop.hears({"b3.yaml": build("web-3", "b3")})
    assert serves(shop) == "v3"
    assert shop.said == ""


def test_after_the_deadline_it_has_failed_and_what_was_in_force_stays(shop):
    shop.outside.answers[WEB_2] = UNWELL
    shop.hears(at_v2(policy={"activationDeadline": "30s"}))
    assert shop.admission.wake_at == NOON + timedelta(seconds=30)

    shop.waits(timedelta(seconds=30))

    assert (said(shop).reason, said(shop).severity) == (Reason.ACTIVATION_FAILED, Severity.ERROR)
    assert said(shop).what == (
        "was not ready within 30s (policy.activationDeadline): "
        f"component web of v2 (build b2) has not passed its health check: {UNWELL}"
    )
    assert serves(shop) == "v1"
    assert shop.admission.wake_at is None

    shop.outside.answers[WEB_2] = ""
    shop.reconsiders()
    assert serves(shop) == "v1", "it moves no traffic when nobody expects it any more"


FAILED = {"policy": {"activationDeadline": "30s"}}


@pytest.fixture
def failed(shop: Activating) -> Activating:
    shop.outside.answers[WEB_2] = UNWELL
    shop.hears(at_v2(**FAILED))
    shop.waits(timedelta(seconds=30))
    shop.outside.answers[WEB_2] = ""
    return shop


def test_a_failed_one_is_tried_again_when_its_record_changes(failed):
    failed.hears(at_v2(policy={"activationDeadline": "31s"}))
    assert serves(failed) == "v2"


def test_a_failed_one_is_tried_again_when_what_lacked_runs_elsewhere(failed):
    failed.hears({"more.yaml": build("more", "b3")})
    assert serves(failed) == "v1", "that is none of what lacked"

    failed.outside.answers["10.0.0.7:80"] = UNWELL
    del failed.outside.answers[WEB_2]
    failed.hears({"builds.yaml": documents(build("web-1", "b1"), build("web-2", "b2", "10.0.0.7:80", **CHECK))})
    assert said(failed).reason is Reason.PENDING
    assert failed.admission.wake_at == failed.now + timedelta(seconds=30), "it has the whole time anew"

    failed.outside.answers["10.0.0.7:80"] = ""
    failed.reconsiders()
    assert serves(failed) == "v2"


def test_a_failed_one_that_is_taken_back_is_no_problem(failed):
    failed.hears({"shop.yaml": SHOP["shop.yaml"]})
    assert failed.said == ""
    assert not failed.rows.keys() & {("Pending", "default", "shop")}


def test_another_content_has_the_whole_time_anew(shop):
    shop.hears(at_v2())
    shop.now += timedelta(seconds=200)
    shop.hears({"builds.yaml": BUILDS + "\n"})
    shop.hears({"more.yaml": build("more", "b3")})
    assert shop.admission.wake_at == NOON + timedelta(minutes=5), "that something else changed is no news"

    shop.hears(at_v2(sticky={"cookie": "user"}))
    assert shop.admission.wake_at == shop.now + timedelta(minutes=5)


def test_a_restart_goes_on_waiting(shop):
    shop.hears(at_v2())
    shop.now += timedelta(seconds=200)
    shop.restarts()

    assert shop.admission.wake_at is None, "before the first read nothing changes"
    assert serves(shop) == "v1"
    shop.reads({**SHOP, "builds.yaml": BUILDS, **at_v2()})
    assert serves(shop) == "v1"
    assert shop.admission.wake_at == NOON + timedelta(minutes=5)
    assert not shop.admission.rows


def test_a_clock_that_is_set_leaves_as_much_time_as_before(shop):
    shop.hears(at_v2())
    day = timedelta(days=1)
    shop.now += day
    shop._turn(set_by(shop.admission, day))
    assert shop.admission.wake_at == NOON + day + timedelta(minutes=5)
    shop.restarts()
    shop.reads({**SHOP, "builds.yaml": BUILDS, **at_v2()})
    assert said(shop).reason is Reason.PENDING
    assert shop.admission.wake_at == NOON + day + timedelta(minutes=5)


def test_where_nobody_waits_a_clock_that_is_set_changes_nothing(failed):
    assert set_by(failed.admission, timedelta(days=1)) is failed.admission


def test_after_a_restart_there_is_a_moment_to_find_out(shop):
    shop.hears(at_v2())
    shop.now += timedelta(hours=1)
    shop.restarts()
    shop.reads({**SHOP, "builds.yaml": BUILDS, **at_v2()})

    assert said(shop).reason is Reason.PENDING
    shop.outside.answers[WEB_2] = ""
    shop.reconsiders()
    assert serves(shop) == "v2"


def test_what_has_failed_has_failed_after_a_restart(failed):
    before = failed.said
    failed.restarts()
    failed.reads({**SHOP, "builds.yaml": BUILDS, **at_v2(**FAILED)})

    assert serves(failed) == "v1"
    assert said(failed).what == "".join(before.partition("was not")[1:]).partition(". What was")[0]
    failed.hears({"builds.yaml": documents(build("web-1", "b1"), build("web-2", "b2", "10.0.0.7:80"))})
    assert serves(failed) == "v1", "nobody knows any more what of it lacked"
    failed.hears(at_v2())
    assert serves(failed) == "v2"


def test_a_wanted_content_that_is_gone_after_a_restart_is_forgotten(shop):
    shop.hears({"next.yaml": release("next", "next.test", to="v2")})
    assert ("Pending", "default", "next") in shop.rows
    shop.restarts()
    shop.reads({**SHOP, "builds.yaml": BUILDS})
    assert ("Pending", "default", "next") not in shop.rows


def test_with_nothing_in_force_it_is_not_asked_whether_it_is_well():
    """A state directory that was lost: gateways may have what the records say, and must not lose it."""
    shop = Activating({})
    shop.reads({**SHOP, "builds.yaml": BUILDS, **at_v2()})
    assert serves(shop) == "v2"


def test_a_pinned_release_does_not_wait(shop):
    shop.hears(at_v2())
    shop._turn(pinned(shop.admission, SHOP_REF, ((V1, 10_000),), Pin(NOON, "ada@desk", "it fails")))
    assert said(shop).reason is Reason.PINNED
    assert not shop.admission.pending

    shop._turn(unpinned(shop.admission, SHOP_REF, shop.now))
    assert said(shop).reason is Reason.PENDING


COLD = Cold("cluster v2/web is not warm at gateway edge-1 of edge", unlisted=True)


@pytest.fixture
def cold(shop: Activating) -> Activating:
    """v2 is well, and its cluster is nowhere."""
    shop.outside.answers[WEB_2] = ""
    shop.outside.clusters["v2"] = [COLD]
    shop.hears(at_v2())
    return shop


def test_clusters_are_warmed_by_a_deployment_that_is_listed(cold):
    assert said(cold).what == f"waits: {COLD.words}"
    assert listed(cold) == {"v2": 0, "v1": 10_000}
    assert serves(cold) == "v1", "what is in force is what the record said"
    assert cold.admission.touched == {SHOP_REF}
    assert cold.admission.upserts == ()

    told = cold.admission.world.app(SHOP_REF).releases
    cold.hears({"more.yaml": build("more", "b3")})
    assert cold.admission.world.app(SHOP_REF).releases is told, "nobody is told of it again"

    cold.outside.clusters.clear()
    cold.reconsiders()
    assert listed(cold) == {"v2": 10_000}
    assert cold.said == ""


def test_what_is_not_waited_for_any_more_is_not_listed(cold):
    before = cold.admission
    cold.hears({"shop.yaml": SHOP["shop.yaml"]})
    assert listed(cold) == {"v1": 10_000}
    assert cold.admission.touched == {SHOP_REF}

    cold._turn(before)
    cold.waits(timedelta(minutes=5))
    assert said(cold).reason is Reason.ACTIVATION_FAILED
    assert listed(cold) == {"v1": 10_000}


def test_what_gateways_are_told_of_anyway_need_not_be_listed(shop):
    shop.outside.answers[WEB_2] = ""
    shop.outside.clusters["v2"] = [COLD._replace(unlisted=False)]
    shop.hears(at_v2())
    assert listed(shop) == {"v1": 10_000}
    assert shop.admission.touched == frozenset()


def test_a_release_without_a_default_lists_nothing(shop):
    audience = {"name": "a", "hosts": ["a.test"]}
    spec: dict[str, Any] = {"default": []}
    shop.hears({"shop.yaml": release("shop", audiences=[{**audience, "deployment": "v1"}], **spec)})
    shop.outside.answers[WEB_2] = ""
    shop.outside.clusters["v2"] = [COLD]
    shop.hears({"shop.yaml": release("shop", audiences=[{**audience, "deployment": "v2"}], **spec)})
    assert said(shop).reason is Reason.PENDING
    assert listed(shop) == {}


def test_what_was_listed_is_not_in_force_after_a_restart(cold):
    cold.restarts()
    assert listed(cold) == {"v1": 10_000}
    cold.reads({**SHOP, "builds.yaml": BUILDS, **at_v2()})
    assert listed(cold) == {"v2": 0, "v1": 10_000}


def test_who_gives_up_a_host_keeps_it_until_the_release_that_takes_it_is_ready(shop):
    """Else requests would get nothing meanwhile."""
    shop.hears({"shop.yaml": None, "next.yaml": release("next", "shop.test", to="v2")})
    assert shop.hosts == {"shop.test": "shop"}
    assert said(shop).what == "waits: Release next, which takes host shop.test at gateway edge, is not ready"
    assert (said(shop).reason, said(shop).severity) == (Reason.PENDING, Severity.WARNING)

    shop.waits(timedelta(minutes=5))
    assert shop.hosts == {"shop.test": "shop"}, "also when that has failed"
    shop.outside.answers[WEB_2] = ""
    shop.hears({"next.yaml": release("next", "shop.test", to="v2", sticky={"cookie": "user"})})
    assert shop.hosts == {"shop.test": "next"}
    assert shop.said == ""


def test_a_host_that_moves_is_moved_when_what_takes_it_is_ready(shop):
    both = release("shop", "shop.test", "more.test")
    shop.hears({"shop.yaml": both})
    shop.hears({"shop.yaml": SHOP["shop.yaml"], "next.yaml": release("next", "more.test", to="v2")})
    assert shop.hosts == {"shop.test": "shop", "more.test": "shop"}

    shop.outside.answers[WEB_2] = ""
    shop.reconsiders()
    assert shop.hosts == {"shop.test": "shop", "more.test": "next"}
    assert shop.said == ""


def test_nobody_waits_for_a_release_that_is_taken_back(shop):
    shop.hears({"other.yaml": release("other", "other.test")})
    shop.hears({"shop.yaml": None, "next.yaml": release("next", "shop.test", to="v2")})
    assert shop.hosts == {"shop.test": "shop", "other.test": "other"}
    shop.hears({"next.yaml": None})
    assert shop.hosts == {"other.test": "other"}
    assert shop.said == ""
