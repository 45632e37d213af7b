"""Who hears of a deployment when: stories, and laws over any sequence of events."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from immutables import Map
from typing_extensions import override

from tests.records import folder
from tests.records.folder import Server
from xds_server.domain.names import Ref
from xds_server.fleet_order import PATIENCE, AppOrder, Phase, Progress, Step, Unfinished, given, late_problem
from xds_server.graph import builds_of
from xds_server.records.models import App, AppDeployment, Build, Release
from xds_server.records.world import AppWorld, build_id
from xds_server.state.unfinished import Moment, Saved, unfinished_in

APP = Ref("default", "shop")
DRAIN = 30.0


def ref(name: str) -> Ref:
    return Ref("default", name)


def refs(*names: str) -> frozenset[Ref]:
    return frozenset(map(ref, names))


def deployment(name: str, build: str = "b1", timeout: str | None = None) -> AppDeployment:
    policy = {"policy": {"timeout": timeout}} if timeout else {}
    web = {"build": build, "routes": folder.ROUTES, **policy}
    return AppDeployment.model_validate(json.loads(folder.deployment(name, components={"web": web})))


def release(name: str, *to: str, hosts: tuple[str, ...] = ()) -> Release:
    default = [{"deployment": each, "weight": 100 if index == 0 else 0} for index, each in enumerate(to)]
    return Release.model_validate(json.loads(folder.release(name, *(hosts or (f"{name}.test",)), default=default)))


def build(name: str, of: str) -> Build:
    return Build.model_validate(json.loads(folder.build(name, of)))


def app(drain: float) -> App:
    return App.model_validate(json.loads(folder.record("App", "shop", {"drain": f"{drain:g}s"})))


def world(*records: Any) -> AppWorld:
    def of(kind: type[Any]) -> Map[Ref, Any]:
        return Map({each.ref: each for each in records if isinstance(each, kind)})

    settings = next((each for each in records if isinstance(each, App)), None)
    return AppWorld(APP, of(Build), of(AppDeployment), of(Release), settings)


V1, V2, V3 = deployment("v1", "b1"), deployment("v2", "b2"), deployment("v3", "b3")
B1, B2 = build("web-1", "b1"), build("web-2", "b2")


BY_SIDECARS = (Phase.APPEARING, Phase.VANISHING, Phase.CHANGING)


class Story:
    """An order, and a clock. It begins with v1, released, everywhere."""

    def __init__(self, *more: Any) -> None:
        self.now = 100.0
        self.order = AppOrder(world(V1, B1, release("shop", "v1"), *more))

    def says(self, *records: Any) -> None:
        self.order.accept(world(*records), self.now)

    def waits(self, seconds: float) -> list[Step]:
        self.now += seconds
        return self.order.wake(self.now)

    def sidecars_accept(self, *names: str) -> None:
        self.order.take([Step(each, phase) for each in refs(*names) for phase in BY_SIDECARS], self.now)

    def gateways_accept(self, *names: str) -> None:
        self.order.take([Step(each, Phase.LEAVING) for each in refs(*names)], self.now)

    def restarts(self, seconds: float = 0, clock: float = 0) -> None:
        """The server ends, and begins so many seconds later; the clock was set by so many."""
        self.order = restarted(self.order, Moment(self.now, at(self.now)), Moment(0, at(self.now + seconds + clock)))
        self.now = 0

    @property
    def taken(self) -> str:
        """What sidecars take requests of and give none."""
        return _names(self.order.inside.inbound)

    @property
    def told(self) -> tuple[str, str, str]:
        """The deployments inside, those outside, and what the release gives."""
        inside, outside = self.order.inside, self.order.outside
        assert inside.releases is outside.releases
        gives = outside.releases.get(ref("shop"))
        return _names(inside.deployments), _names(outside.deployments), _names(given(gives)) if gives else ""


def at(seconds: float) -> datetime:
    return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=seconds)


def restarted(order: AppOrder, before: Moment, after: Moment) -> AppOrder:
    """By way of the rows of the state directory."""
    rows, _ = Saved().news(APP, order.unfinished, before)
    found = unfinished_in(rows, after)
    return AppOrder.resumed(order.accepted, found[APP], after.now) if found else AppOrder(order.accepted)


def _names(found: Iterable[Ref]) -> str:
    return " ".join(sorted(each.name for each in found))


def test_it_comes_inside_first_and_what_gives_it_waits_for_it() -> None:
    story = Story()
    story.says(V1, V2, B1, B2, release("shop", "v2"))
    assert story.told == ("v1 v2", "v1", "v1")
    assert story.order.held_back == {ref("shop"): refs("v2")}
    assert story.order.wake_at == story.now + PATIENCE

    story.sidecars_accept("v2")
    assert story.told == ("v1 v2", "v1 v2", "v2")
    assert story.order.held_back == {}
    assert story.order.inside is story.order.outside is story.order.accepted
    assert story.order.wake_at is None


def test_it_goes_outside_first_and_is_drained() -> None:
    story = Story(V2, B2)
    story.says(V1, B1, release("shop", "v1"))
    assert story.told == ("v1 v2", "v1", "v1")
    assert ref("web-2") in story.order.inside.builds, "what is under way there ends well"

    story.gateways_accept("v2")
    assert story.waits(DRAIN - 1) == []
    assert story.told == ("v1 v2", "v1", "v1")
    assert ref("web-2") in story.order.inside.builds

    assert story.waits(1) == [], "the end of a drain is nobody's fault"
    assert (story.told, story.taken) == (("v1", "v1", "v1"), "v2"), "who is called knows it longest"
    assert ref("web-2") in story.order.inside.builds
    assert not story.order.outside.inbound

    story.sidecars_accept("v2")
    assert (story.told, story.taken) == (("v1", "v1", "v1"), "")
    assert story.order.inside is story.order.accepted


def test_who_does_not_answer_is_waited_for_no_longer() -> None:
    story = Story()
    story.says(V1, V2, B1, B2, release("shop", "v2"))
    assert story.waits(PATIENCE - 1) == []
    assert story.waits(1) == [Step(ref("v2"), Phase.APPEARING)]
    assert story.told == ("v1 v2", "v1 v2", "v2")

    story.says(V1, B1, release("shop", "v1"))
    assert story.waits(PATIENCE) == [Step(ref("v2"), Phase.LEAVING)]
    assert story.told == ("v1 v2", "v1", "v1"), "it is drained all the same"
    story.waits(DRAIN)
    assert (story.told, story.taken) == (("v1", "v1", "v1"), "v2")
    assert story.waits(PATIENCE - 1) == []
    assert story.waits(1) == [Step(ref("v2"), Phase.VANISHING)]
    assert story.taken == ""
    assert not story.order.under_way


def test_what_gateways_still_give_stays_there_and_waits_without_end() -> None:
    """v1 is given until v2 has appeared: only from then on gateways can have accepted that v1 is gone."""
    story = Story()
    story.says(V2, B2, release("shop", "v2"))
    assert story.told == ("v1 v2", "v1", "v1")
    story.gateways_accept("v1")
    story.waits(PATIENCE - 1)
    story.says(V2, V3, B2, release("shop", "v2", "v3"))
    assert story.waits(1) == [Step(ref("v2"), Phase.APPEARING)]
    assert story.told == ("v1 v2 v3", "v1 v2", "v1"), "v3 is given, too"

    story.sidecars_accept("v3")
    assert story.told == ("v1 v2 v3", "v2 v3", "v2 v3")
    assert story.waits(PATIENCE - 1) == []
    story.gateways_accept("v1")
    story.waits(DRAIN)
    assert story.told == ("v2 v3", "v2 v3", "v2 v3")


def test_what_gives_only_what_is_ready_waits_for_nobody() -> None:
    story = Story(V2, B2)
    story.says(V1, V2, V3, B1, B2, release("shop", "v2"), release("other", "v3"))
    assert story.told == ("v1 v2 v3", "v1 v2", "v2")
    assert story.order.held_back == {ref("other"): refs("v3")}


def test_what_comes_and_goes_before_it_arrived_is_gone_at_once() -> None:
    story = Story()
    story.says(V1, V2, B1, release("shop", "v1"))
    story.says(V1, B1, release("shop", "v1"))
    assert story.told == ("v1", "v1", "v1")
    assert not story.order.under_way


@pytest.mark.parametrize("accepted", [False, True], ids=["leaving", "draining"])
def test_the_same_one_that_comes_back_has_never_left(*, accepted: bool) -> None:
    story = Story(V2, B2)
    story.says(V1, B1, release("shop", "v1"))
    if accepted:
        story.gateways_accept("v2")
    story.says(V1, deployment("v2", "b2"), B1, B2, release("shop", "v2"))
    assert story.told == ("v1 v2", "v1 v2", "v2")
    assert not story.order.under_way


def test_another_one_under_its_name_comes_when_it_is_gone() -> None:
    story = Story(V2, B2)
    again = deployment("v2", "b3")
    story.says(V1, B1, release("shop", "v1"))
    story.says(V1, again, B1, release("shop", "v2"))
    assert story.told == ("v1 v2", "v1", "v1")
    assert story.order.inside.deployments[ref("v2")] is V2

    story.gateways_accept("v2")
    story.sidecars_accept("v2")
    story.waits(DRAIN - 1)
    assert story.order.inside.deployments[ref("v2")] is V2
    assert story.order.held_back == {ref("shop"): refs("v2")}

    story.waits(1)
    assert (story.told, story.taken) == (("v1", "v1", "v1"), "v2")
    assert story.order.inside.inbound[ref("v2")] is V2
    assert story.order.held_back == {ref("shop"): refs("v2")}

    story.sidecars_accept("v2")
    assert story.order.inside.deployments[ref("v2")] is again
    assert (story.told, story.taken) == (("v1 v2", "v1", "v1"), "")
    story.sidecars_accept("v2")
    assert story.told == ("v1 v2", "v1 v2", "v2")


def test_what_comes_back_when_no_call_is_given_it_any_more_comes_as_at_first() -> None:
    story = Story(V2, B2)
    story.says(V1, B1, release("shop", "v1"))
    story.gateways_accept("v2")
    story.waits(DRAIN)
    story.says(V1, V2, B1, B2, release("shop", "v2"))
    assert (story.told, story.taken) == (("v1 v2", "v1", "v1"), "")
    assert story.order.held_back == {ref("shop"): refs("v2")}
    story.sidecars_accept("v2")
    assert story.told == ("v1 v2", "v1 v2", "v2")
    assert not story.order.under_way


def test_while_it_is_still_given_another_one_under_its_name_is_an_edit() -> None:
    """Else each would wait for the other: the name to be free, and the release that gives it."""
    story = Story()
    story.says(V2, release("shop", "v2"))
    again = deployment("v1", "b3")
    story.says(again, V2, release("shop", "v1"))
    assert story.told == ("v1 v2", "v1", "v1")
    assert story.order.outside.deployments[ref("v1")] is again


def hosts_of(story: Story) -> dict[str, tuple[str, ...]]:
    """What hosts gateways are told of, of each release."""
    return {each.name: record.spec.hosts for each, record in story.order.outside.releases.items()}


def test_a_host_that_a_waiting_release_gives_up_is_not_its_own_any_more() -> None:
    """From then on it may be another app's."""
    story = Story()
    story.says(V1, release("shop", "v1", hosts=("a.test", "b.test")), B1)
    story.says(V1, V2, B1, B2, release("shop", "v2", hosts=("a.test", "c.test")))
    assert story.told == ("v1 v2", "v1", "v1")
    assert hosts_of(story) == {"shop": ("a.test",)}
    assert story.order.held_back == {ref("shop"): refs("v2")}

    before = story.order.outside
    story.says(V1, V2, B1, B2, release("shop", "v2", hosts=("c.test",)))
    assert hosts_of(story) == {}
    assert before.releases is not story.order.outside.releases
    story.sidecars_accept("v2")
    assert hosts_of(story) == {"shop": ("c.test",)}


def test_a_host_that_moves_to_another_release_of_the_app_is_given_all_the_while() -> None:
    story = Story()
    story.says(V1, B1, release("shop", "v1", hosts=("a.test", "b.test")))
    story.says(V1, V2, release("shop", "v2", hosts=("a.test",)), release("new", "v2", hosts=("b.test",)))
    assert hosts_of(story) == {"shop": ("a.test", "b.test")}, "both wait"

    story.says(V1, V2, release("shop", "v2", hosts=("a.test",)), release("new", "v1", hosts=("b.test",)))
    assert hosts_of(story) == {"shop": ("a.test",), "new": ("b.test",)}, "one waits"


EDITED = deployment("v1", "b2")


def maps(story: Story) -> tuple[str, str, str]:
    """What builds v1 has where calls are made, where they are taken besides, and at gateways."""
    order = story.order
    found = (
        each.get(ref("v1")) for each in (order.inside.deployments, order.inside.inbound, order.outside.deployments)
    )
    inner, besides, outer = ("" if each is None else each.spec.components["web"].build for each in found)
    return inner, besides, outer


def test_new_builds_of_a_deployment_know_it_before_anybody_calls_them_and_old_ones_for_a_drain_more() -> None:
    story = Story()
    story.says(EDITED, B1, B2, release("shop", "v1"))
    assert maps(story) == ("b1", "b2", "b1")
    assert story.order.held_back == {}
    assert story.waits(PATIENCE - 1) == []
    story.sidecars_accept("v1")
    assert maps(story) == ("b2", "b1", "b2")
    assert story.waits(DRAIN - 1) == []
    story.says(EDITED, B2, release("shop", "v1"))
    assert maps(story) == ("b2", "b1", "b2")
    assert ref("web-1") in story.order.inside.builds, "what is under way there ends well"
    assert story.waits(1) == []
    assert not story.order.under_way
    assert story.order.inside is story.order.outside is story.order.accepted


def test_new_builds_that_do_not_answer_are_used_all_the_same() -> None:
    story = Story()
    story.says(EDITED, B1, B2, release("shop", "v1"))
    assert story.waits(PATIENCE) == [Step(ref("v1"), Phase.CHANGING)]
    assert maps(story) == ("b2", "b1", "b2")


def test_what_is_edited_but_for_its_builds_is_told_to_everybody_at_once() -> None:
    story, edited = Story(), deployment("v1", "b1", "5s")
    story.says(edited, B1, release("shop", "v1"))
    assert story.order.inside.deployments[ref("v1")] is story.order.outside.deployments[ref("v1")] is edited
    assert not story.order.under_way


@pytest.mark.parametrize(
    ("accepted", "again", "expected"),
    [
        pytest.param(False, "b1", ("b1", "", "b1"), id="back, before it has come"),
        pytest.param(False, "b3", ("b1", "b3", "b1"), id="others, before it has come"),
        pytest.param(True, "b1", ("b2", "b1", "b2"), id="back, when it has come"),
        pytest.param(True, "b3", ("b2", "b3", "b2"), id="others, when it has come"),
        pytest.param(False, "b2", ("b1", "b2", "b1"), id="the same, before it has come"),
        pytest.param(True, "b2", ("b2", "b1", "b2"), id="the same, when it has come"),
    ],
)
def test_an_edit_of_what_is_being_changed(*, accepted: bool, again: str, expected: tuple[str, str, str]) -> None:
    story = Story()
    story.says(EDITED, B1, B2, release("shop", "v1"))
    if accepted:
        story.sidecars_accept("v1")
    newest = deployment("v1", again, "5s")
    story.says(newest, B1, B2, release("shop", "v1"))
    assert maps(story) == expected
    assert newest in (*story.order.inside.deployments.values(), *story.order.inside.inbound.values()) or again == "b1"


@pytest.mark.parametrize(("accepted", "left"), [(False, "b1"), (True, "b2")])
def test_what_goes_while_it_is_being_changed_goes_as_gateways_have_it(*, accepted: bool, left: str) -> None:
    story = Story()
    story.says(EDITED, V2, B1, B2)
    if accepted:
        story.sidecars_accept("v1")
    story.says(V2, B1, B2)
    assert maps(story) == (left, "", "")
    story.gateways_accept("v1")
    story.waits(DRAIN)
    assert maps(story) == ("", left, "")


def test_an_edit_goes_on_after_a_restart() -> None:
    story = Story()
    story.says(EDITED, B2, release("shop", "v1"))
    story.restarts(5)
    assert maps(story) == ("b1", "b2", "b1")
    assert story.order.wake_at == PATIENCE
    story.sidecars_accept("v1")
    story.restarts(5)
    assert maps(story) == ("b2", "b1", "b2")
    assert story.order.wake_at == DRAIN - 5
    assert ref("web-1") in story.order.inside.builds


@pytest.mark.parametrize(
    ("settings", "timeout", "drain"),
    [
        pytest.param([], None, 30, id="30 s if nothing is said"),
        pytest.param([app(2)], None, 15, id="not shorter than the usual timeout"),
        pytest.param([app(2)], "5s", 5, id="nor than the one that is written"),
        pytest.param([app(60)], "5s", 60, id="as long as is said"),
        pytest.param([app(20)], "90s", 90, id="but for longer timeouts"),
    ],
)
def test_a_drain_is_as_long_as_what_it_waits_for(settings: list[App], timeout: str | None, drain: float) -> None:
    story = Story(deployment("v2", "b2", timeout), *settings)
    story.says(V1, release("shop", "v1"), *settings)
    story.gateways_accept("v2")
    assert story.order.wake_at == story.now + drain


@pytest.mark.parametrize("together", [True, False], ids=["with-its-deployments", "while-they-drain"])
def test_the_settings_of_an_app_that_goes_hold_until_it_is_drained(*, together: bool) -> None:
    settings = app(90)
    story = Story(settings)
    if not together:
        story.says(settings)
    story.says()
    assert story.order.inside.settings is story.order.outside.settings is settings
    story.gateways_accept("v1")
    story.waits(89)
    assert story.told == ("v1", "", "")
    assert story.order.inside.settings is settings
    story.waits(1)
    assert story.told == ("", "", "")
    story.sidecars_accept("v1")
    assert story.order.inside.settings is None


def test_settings_that_go_alone_hold_for_what_went_before_and_for_nothing_else() -> None:
    settings = app(90)
    story = Story(V2, B2, settings)
    story.says(V1, B1, release("shop", "v1"), settings)
    story.says(V1, B1, release("shop", "v1"))
    assert story.order.inside.settings is None, "v1 goes on without"
    story.gateways_accept("v2")
    assert story.order.wake_at == story.now + 90


def test_an_audience_that_ended_does_not_come_back_while_its_release_waits() -> None:
    ended = frozenset([(ref("shop"), "acme")])
    story = Story()
    before = story.order.accepted
    story.order = AppOrder(AppWorld(APP, before.builds, before.deployments, before.releases, None, ended))
    story.says(V1, V2, B1, B2, release("shop", "v2"))
    assert story.order.outside.expired == story.order.inside.expired == ended
    story.sidecars_accept("v2")
    assert story.order.outside.expired == frozenset()


def test_maps_that_say_the_same_are_the_same() -> None:
    """Compile does again what differs, by identity."""
    story = Story()
    story.says(V1, V2, B1, B2, release("shop", "v1"))
    order = story.order
    assert order.inside.deployments is order.accepted.deployments
    assert order.inside.builds is order.outside.builds is order.accepted.builds
    assert order.inside.releases is order.outside.releases is order.accepted.releases
    before = order.inside, order.outside
    order.take([Step(ref("v2"), Phase.LEAVING), Step(ref("v1"), Phase.APPEARING)], story.now)
    order.wake(story.now)
    assert (order.inside, order.outside) == before, "nothing happened"


def test_a_drain_goes_on_for_the_rest_of_its_time_after_a_restart() -> None:
    story = Story(V2, B2)
    story.says(V1, B1, release("shop", "v1"))
    story.gateways_accept("v2")
    story.waits(10)
    story.restarts(seconds=5)
    assert story.told == ("v1 v2", "v1", "v1")
    assert ref("web-2") in story.order.inside.builds
    assert story.order.wake_at == DRAIN - 15
    story.restarts(seconds=1000)
    assert story.order.wake_at == 0
    story.waits(0)
    assert (story.told, story.taken) == (("v1", "v1", "v1"), "v2")
    story.restarts()
    assert (story.told, story.taken, story.order.wake_at) == (("v1", "v1", "v1"), "v2", PATIENCE)


@pytest.mark.parametrize(("clock", "left"), [(3600.0, 0.0), (-3600.0, DRAIN), (-5.0, DRAIN), (5.0, DRAIN - 5)])
def test_a_clock_that_is_set_makes_a_drain_neither_endless_nor_negative(clock: float, left: float) -> None:
    story = Story(V2, B2)
    story.says(V1, B1, release("shop", "v1"))
    story.gateways_accept("v2")
    story.restarts(clock=clock)
    assert story.order.wake_at == left


def test_what_waited_for_proxies_waits_anew_after_a_restart() -> None:
    story = Story(V3)
    story.says(V1, V2, B1, B2, release("shop", "v2"))
    story.waits(PATIENCE - 1)
    story.restarts()
    assert story.told == ("v1 v2 v3", "v1", "v1")
    assert story.order.held_back == {ref("shop"): refs("v2")}
    assert story.order.wake_at == PATIENCE
    assert story.order.awaited == {Step(ref("v2"), Phase.APPEARING), Step(ref("v3"), Phase.LEAVING)}
    story.sidecars_accept("v2")
    assert story.told == ("v1 v2 v3", "v1 v2", "v2")


def test_what_a_held_back_release_still_gives_stays_given_after_a_restart() -> None:
    story = Story()
    story.says(V2, B2, release("shop", "v2", hosts=("shop.test", "new.test")))
    story.restarts()
    assert story.told == ("v1 v2", "v1", "v1")
    assert hosts_of(story) == {"shop": ("shop.test",)}
    assert story.order.awaited == {Step(ref("v2"), Phase.APPEARING)}, "gateways have v1 still"
    story.sidecars_accept("v2")
    assert story.told == ("v1 v2", "v2", "v2")


def test_an_audience_of_a_held_back_release_that_ends_while_the_server_does_not_run_has_ended() -> None:
    def ends(to: str) -> Release:
        audience = {"name": "acme", "hosts": ["acme.test"], "deployment": to, "until": at(200).isoformat()}
        return Release.model_validate(json.loads(folder.release("shop", "shop.test", to=to, audiences=[audience])))

    for seconds, expired in ((50, frozenset()), (150, frozenset([(ref("shop"), "acme")]))):
        story = Story()
        story.says(V1, B1, ends("v1"))
        story.says(V1, V2, B1, B2, ends("v2"))
        story.restarts(seconds)
        assert story.told == ("v1 v2", "v1", "v1")
        assert story.order.outside.expired == expired


def test_of_what_the_state_has_that_the_records_do_not_fit_nothing_is_left() -> None:
    """What comes, and is not there; what goes, and is; a release of what there is not."""
    story = Story(V2, B2)
    steps = {each.ref: Progress(phase, each, 5.0) for each, phase in ((V3, Phase.APPEARING), (V2, Phase.DRAINING))}
    order = AppOrder.resumed(story.order.accepted, Unfinished(steps, {}, {ref("shop"): release("shop", "v3")}), 0.0)
    assert not order.under_way
    assert order.inside is order.outside is story.order.accepted


def test_a_row_that_todays_rules_refuse_is_left_out() -> None:
    story = Story(V2, B2)
    story.says(V1, B1, release("shop", "v1"))
    rows, _ = Saved().news(APP, story.order.unfinished, Moment(0, at(0)))
    broken = [row._replace(document=row.document.replace("web", "Web!")) for row in rows]
    assert [bool(unfinished_in(each, Moment(0, at(0)))[APP].steps) for each in (rows, broken)] == [True, False]


def test_who_is_late_is_a_warning_at_the_deployment() -> None:
    admission = Server(folder.SHOP).admission
    comes = late_problem(Step(ref("v2"), Phase.APPEARING), "sidecar web-2-a beside shop/web@b2", admission)
    assert str(comes) == (
        "v2.yaml:1 (document 1): warning: AppDeployment/default/v2: sidecar web-2-a beside shop/web@b2 did not accept "
        "v2 in 10 s: gateways give it requests all the same. Look with xdsctl proxies at what keeps it: until then "
        "calls of the deployment may fail there. [LateProxy]"
    )
    changes = late_problem(Step(ref("v2"), Phase.CHANGING), "sidecar web-2-a beside shop/web@b2", admission)
    assert str(changes) == (
        "v2.yaml:1 (document 1): warning: AppDeployment/default/v2: sidecar web-2-a beside shop/web@b2 did not accept "
        "the new builds of v2 in 10 s: the others use them all the same. Look with xdsctl proxies at what keeps it: "
        "until then calls of the deployment may fail there. [LateProxy]"
    )
    server = Server(folder.SHOP)
    server.hears({"v2.yaml": None})
    goes = late_problem(Step(ref("v2"), Phase.LEAVING), "gateway edge-1 of edge", server.admission)
    assert str(goes) == (
        "(gone): warning: AppDeployment/default/v2: gateway edge-1 of edge did not accept in 10 s that v2 is gone: it "
        "is drained all the same. Look with xdsctl proxies at what keeps it: after the drain, requests that it still "
        "gives to it fail. [LateProxy]"
    )
    calls = late_problem(Step(ref("v2"), Phase.VANISHING), "sidecar web-2-a beside shop/web@b2", server.admission)
    assert str(calls) == (
        "(gone): warning: AppDeployment/default/v2: sidecar web-2-a beside shop/web@b2 did not accept in 10 s that v2 "
        "is gone: the others forget it all the same. Look with xdsctl proxies at what keeps it: calls that it still "
        "gives to it fail. [LateProxy]"
    )


NAMES, BUILDS = ("v1", "v2", "v3"), ("b1", "b2", "b3")
TOLD = st.sampled_from([True, True, False])
SOME = st.sets(st.sampled_from(NAMES), min_size=1).map(sorted)
DRAINS = {None: 30.0, 1: 15.0, 40: 40.0}
"""Seconds by what the App says: no timeout is longer than 15."""


@dataclass
class Seen:
    """What an onlooker knows of a deployment that is inside. `drained`: when it may leave."""

    record: AppDeployment
    since: float
    was_outside: bool = False
    gone_outside: float | None = None
    drained: float | None = None


class Laws(RuleBasedStateMachine):
    """Records change as admission lets them, proxies accept, time passes: in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.drain: int | None = None
        self.drain_when_it_went: dict[Ref, int | None] = {}
        self.deployments = {"v1": V1, "v2": V2}
        self.releases: dict[str, Release] = {}
        self.builds = {"b1": B1, "b2": B2}
        self.order = AppOrder(world(V1, V2, B1, B2))
        self.seen = {each.ref: Seen(each, 0.0, was_outside=True) for each in (V1, V2)}
        self.taken: dict[Ref, float] = {}
        self.outer = {each.ref: each for each in (V1, V2)}
        self.promised: dict[Ref, tuple[AppDeployment, float]] = {}

    @rule(name=st.sampled_from(NAMES), of=st.sampled_from(BUILDS), told=TOLD)
    def deploy(self, *, name: str, of: str, told: bool) -> None:
        """Or edit what is there: a branch deployment."""
        self.deployments[name] = deployment(name, of)
        self._say(told=told)

    @rule(name=st.sampled_from(NAMES), told=TOLD)
    def delete(self, *, name: str, told: bool) -> None:
        if not any(ref(name) in given(each) for each in self.releases.values()):
            self.deployments.pop(name, None)
            self._say(told=told)

    @rule(name=st.sampled_from(["r1", "r2"]), to=SOME, told=TOLD)
    def release(self, *, name: str, to: list[str], told: bool) -> None:
        there = [each for each in to if each in self.deployments]
        if there:
            self.releases[name] = release(name, *there)
            self._say(told=told)

    @rule(name=st.sampled_from(["r1", "r2"]), told=TOLD)
    def unrelease(self, *, name: str, told: bool) -> None:
        self.releases.pop(name, None)
        self._say(told=told)

    @rule(of=st.sampled_from(BUILDS), told=TOLD)
    def place_or_not(self, *, of: str, told: bool) -> None:
        if self.builds.pop(of, None) is None:
            self.builds[of] = build(f"web-{of[1:]}", of)
        self._say(told=told)

    @rule(drain=st.sampled_from(list(DRAINS)))
    def set_drain(self, drain: int | None) -> None:
        self.drain = drain
        self._say(told=True)

    @rule(names=SOME)
    def sidecars_accept(self, names: list[str]) -> None:
        before = self.order.inside
        told = {each for each in refs(*names) if each in before.deployments or each in before.inbound}
        self.order.take([Step(each, phase) for each in refs(*names) for phase in BY_SIDECARS], self.now)
        self._look(accepted=told)

    @rule(names=SOME)
    def gateways_accept(self, names: list[str]) -> None:
        for seen in self._gone(names):
            seen.drained = self._drained(seen.record.ref)
        self.order.take([Step(each, Phase.LEAVING) for each in refs(*names)], self.now)
        self._look()

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0, 15.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0]), clock=st.sampled_from([0.0, 0.0, 3600.0, -3600.0]))
    def restart(self, seconds: float, clock: float) -> None:
        """Proxies are told the same, and have the whole time anew."""
        inside, outside = self.order.inside, self.order.outside
        ended = Moment(self.now, at(self.now))
        self.now += seconds
        self.order = restarted(self.order, ended, Moment(self.now, at(self.now + clock)))
        for before, after in ((inside, self.order.inside), (outside, self.order.outside)):
            assert dict(before.deployments) == dict(after.deployments)
            assert dict(before.inbound) == dict(after.inbound)
            assert dict(before.builds) == dict(after.builds)
            assert dict(before.releases) == dict(after.releases)
        for seen in self.seen.values():
            if seen.drained is None and seen.gone_outside is not None:
                seen.gone_outside = self.now
            elif seen.drained is not None and clock > 0:
                seen.drained = self.now
        self.taken = dict.fromkeys(self.taken, self.now)
        self.promised = {name: (record, self.now) for name, (record, _) in self.promised.items()}

    @rule()
    def wake(self) -> None:
        for seen in self._gone(NAMES):
            if seen.gone_outside is not None and self.now >= seen.gone_outside + PATIENCE:
                seen.drained = self._drained(seen.record.ref)
        self.order.wake(self.now)
        self._look()

    @invariant()
    def a_release_gives_what_gateways_have(self) -> None:
        outside = self.order.outside
        assert all(each in outside.deployments for record in outside.releases.values() for each in given(record))
        assert self.order.inside.releases is outside.releases

    @invariant()
    def what_gives_only_what_is_ready_is_told(self) -> None:
        accepted, outside = self.order.accepted, self.order.outside
        for name, record in accepted.releases.items():
            ready = all(self._is_ready(each) for each in given(record))
            assert (outside.releases.get(name) is record) == ready
            assert bool(self.order.held_back.get(name)) != ready
            assert self.order.lacks(name) == self.order.held_back.get(name, frozenset())

    def _is_ready(self, name: Ref) -> bool:
        """Gateways have it, or what it was before an edit."""
        changes = name in self.order.of(Phase.CHANGING)
        return changes or self.order.outside.deployments.get(name) is self.order.accepted.deployments[name]

    @invariant()
    def nothing_is_under_way_without_an_end(self) -> None:
        order = self.order
        assert order.under_way == (order.wake_at is not None)
        assert order.under_way or order.inside is order.outside is order.accepted

    @override
    def teardown(self) -> None:
        """It always ends."""
        for _ in range(5 * len(NAMES)):
            if self.order.wake_at is not None:
                assert self.order.wake_at - self.now <= max(DRAINS.values())
                self.now = max(self.now, self.order.wake_at)
                self.wake()
        assert not self.order.under_way

    def _say(self, *, told: bool) -> None:
        """Records may change together."""
        if told:
            settings = [] if self.drain is None else [app(self.drain)]
            before = self.order.inside
            after = world(*self.deployments.values(), *self.releases.values(), *self.builds.values(), *settings)
            self._remember_drain(after)
            for each in self.order.of(Phase.LEAVING):
                self.outer.pop(each, None)  # what is written anew while it is still given is told at once
            self.order.accept(after, self.now)
            self._look()
            self._look_at_placements(before)

    def _remember_drain(self, after: AppWorld) -> None:
        """Of those that go now."""
        before = self.order.accepted
        goes = (Phase.LEAVING, Phase.DRAINING, Phase.VANISHING)
        under_way = frozenset[Ref]().union(*map(self.order.of, goes))
        gone = set(before.deployments).difference(after.deployments)
        said = None if before.settings is None else int(before.settings.spec.drain.total_seconds())
        self.drain_when_it_went |= dict.fromkeys(gone - under_way, said)

    def _drained(self, name: Ref) -> float:
        """When a deployment will be whose drain begins now."""
        return self.now + DRAINS[self.drain if self.drain is not None else self.drain_when_it_went[name]]

    def _gone(self, names: Iterable[str]) -> list[Seen]:
        """Of these, those that gateways have been told of no more, but have not accepted so."""
        found = [self.seen[each] for each in refs(*names) if each in self.seen]
        return [each for each in found if each.gone_outside is not None and each.drained is None]

    def _look(self, accepted: Iterable[Ref] = ()) -> None:
        inside, outside = self.order.inside.deployments, self.order.outside.deployments
        assert set(outside) <= set(inside)
        self._look_at_who_is_called(set(accepted))
        self._look_at_edits(set(accepted))
        for name, seen in list(self.seen.items()):
            record = inside.get(name)
            edited = name in outside and seen.gone_outside is None
            if record is not None and (record.spec == seen.record.spec or edited):
                continue
            if not seen.was_outside and record is not None:
                seen.record = record  # changed before it arrived
                continue
            assert not seen.was_outside or (seen.drained is not None and seen.drained <= self.now)
            assert not seen.was_outside or self.order.inside.inbound[name] == seen.record
            del self.seen[name]
        for name, record in inside.items():
            seen = self.seen.setdefault(name, Seen(record, self.now))
            if name in outside:
                ready = name in accepted or self.now >= seen.since + PATIENCE
                assert seen.was_outside or ready
                self.seen[name] = Seen(record, seen.since, was_outside=True)
            elif seen.was_outside and seen.gone_outside is None:
                seen.gone_outside = self.now

    def _look_at_who_is_called(self, accepted: set[Ref]) -> None:
        """They know a deployment until all have accepted that no call is given it."""
        inside = self.order.inside
        gone = set(inside.inbound).difference(inside.deployments)
        for name, since in list(self.taken.items()):
            if name not in gone:
                back = name in self.order.accepted.deployments and name in inside.deployments
                assert back or name in accepted or self.now >= since + PATIENCE
                del self.taken[name]
        self.taken = dict.fromkeys(gone, self.now) | self.taken

    def _look_at_edits(self, accepted: set[Ref]) -> None:
        """Nobody calls a new build of what it knew already before the sidecars beside it have accepted that they are
        called. And then those that were called are known still.
        """
        inside, outside = self.order.inside, self.order.outside
        for name, record in outside.deployments.items():
            before = self.outer.get(name, record)
            if builds_of(record) != builds_of(before):
                promised, since = self.promised[name]
                assert builds_of(promised) == builds_of(record)
                assert name in accepted or self.now >= since + PATIENCE
                assert builds_of(inside.inbound[name]) == builds_of(before)
            assert name not in self.order.accepted.deployments or inside.deployments[name] is record
        self.outer = dict(outside.deployments)
        changing = {name: inside.inbound[name] for name in self.order.of(Phase.CHANGING)}
        kept = {name: each for name, each in self.promised.items() if _same_builds(changing.get(name), each[0])}
        self.promised = {name: (record, self.now) for name, record in changing.items()} | kept

    def _look_at_placements(self, before: AppWorld) -> None:
        """Where a build runs that goes with a deployment is known as long as that is inside."""
        order = self.order
        inside = (*order.inside.deployments.values(), *order.inside.inbound.values())
        kept = {each for record in inside for each in builds_of(record)}
        live = {each for record in order.accepted.deployments.values() for each in builds_of(record)}
        for name, record in before.builds.items():
            if build_id(record) in kept - live:
                assert name in order.inside.builds
                assert name in order.outside.builds


def _same_builds(one: AppDeployment | None, other: AppDeployment) -> bool:
    return one is not None and builds_of(one) == builds_of(other)


TestLaws = Laws.TestCase
