"""What becomes of a content, told as a story of facts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from immutables import Map

from tests.ledger.facts import CLUSTERS, EDGE, HOSTS, LISTENER, NOON, ROUTES, Story, change, ref, resource
from xds_server.ledger.entry import End, Entry, Holder, ProxyState, State, Summary
from xds_server.ledger.ledger import Change, Published
from xds_server.snapshot import Delivery, Resource, Snapshot

HTTP = "edge/http"
SHOP = "edge/http/shop.test"
A, B, C = "a" * 32, "b" * 32, "c" * 32


def full(*proxies: str, content: str = A) -> Story:
    """Proxies that are told everything, all in sync with the release `shop`."""
    story = Story()
    story.world({HTTP: "1"}, change("shop", content))
    for each in proxies:
        story.opens(each)
        story.takes(each, {HTTP: "1"})
    return story


def on_demand(*holders: str) -> Story:
    """Proxies that are told on demand and have the host of `shop` loaded."""
    story = Story(on_demand=True)
    story.world({SHOP: "1"}, change("shop", A))
    for each in holders:
        story.opens(each)
        story.states(each)
        story.takes(each, {SHOP: "1"})
    return story


def test_a_content_is_live_when_every_proxy_has_accepted_a_world_that_has_it() -> None:
    story = full("one", "two")
    story.world({HTTP: "2"}, change("shop", B))
    accepted = story.now

    assert story.entry("shop").state is State.PENDING
    first = story.takes("one", {HTTP: "2"})
    assert story.entry("shop").summary.words == "1 of 2 accepted, 1 pending"
    last = story.takes("two", {HTTP: "2"})

    entry = story.entry("shop")
    assert (entry.state, entry.accepted, entry.first_ack, entry.last_ack, entry.live) == (
        State.LIVE,
        accepted,
        first,
        last,
        last,
    )


def test_a_later_world_counts_for_every_content_before_it() -> None:
    story = full("one")
    story.world({HTTP: "2"}, change("shop", B))
    story.world({HTTP: "3"}, change("other", C))
    story.takes("one", {HTTP: "3"})

    assert [story.entry(name).state for name in ("shop", "other")] == [State.LIVE, State.LIVE]


def test_an_earlier_world_counts_for_what_it_has_and_for_nothing_later() -> None:
    story = full("one")
    story.world({HTTP: "2"}, change("shop", B))
    story.sends("one", {HTTP: "2"})
    story.world({HTTP: "3"}, change("other", C))
    story.acks("one", {HTTP: "2"})

    assert [story.entry(name).state for name in ("shop", "other")] == [State.LIVE, State.PENDING]


def test_a_content_that_changes_nothing_for_proxies_is_live_at_once() -> None:
    story = full("one")
    story.world({HTTP: "1"}, change("shop", B))

    assert story.entry("shop").state is State.LIVE


def test_what_is_on_its_way_is_not_held_even_if_the_world_has_gone_back() -> None:
    """The proxy may be using the other content by now."""
    story = full("one")
    story.world({HTTP: "2"}, change("shop", B))
    story.sends("one", {HTTP: "2"})
    story.world({HTTP: "1"}, change("shop", A))

    assert story.entry("shop").state is State.PENDING
    story.acks("one", {HTTP: "2"})
    assert story.entry("shop").state is State.PENDING
    story.takes("one", {HTTP: "1"})
    assert story.entry("shop").state is State.LIVE


@pytest.mark.parametrize(("took", "state"), [(False, State.SUPERSEDED), (True, State.REPLACED)])
def test_what_is_replaced_before_it_is_live_is_superseded(took: bool, state: State) -> None:
    story = full("one")
    story.world({HTTP: "2"}, change("shop", B))
    if took:
        story.takes("one", {HTTP: "2"})
    story.world({HTTP: "3"}, change("shop", C))

    ended = {each.content: each for each in story.ledger.take_unsaved(100) if each.end}
    assert (ended[B].state, ended[B].end, ended[B].ended) == (state, End.REPLACED, story.now)


def test_the_same_content_again_is_no_new_entry() -> None:
    story = full("one")
    number = story.entry("shop").number
    story.world({HTTP: "1"}, change("shop", A))

    assert story.entry("shop").number == number


def test_a_removed_release_has_an_entry_that_says_so() -> None:
    story = full("one")
    story.ledger.take_unsaved(100)
    story.world({HTTP: "2"}, Change(ref("shop"), None))

    [entry] = story.ledger.take_unsaved(100)
    assert (entry.state, story.ledger.entry(ref("shop")), story.ledger.releases) == (State.REMOVED, None, [])


def test_a_refusal_says_why_and_stands_when_the_proxy_goes_back_to_what_it_had() -> None:
    story = full("one", "two")
    story.world({HTTP: "2"}, change("shop", B))
    story.sends("one", {HTTP: "2"})
    story.refuses("one", HTTP, "2", "bad regex")
    story.takes("one", {HTTP: "1"})

    entry = story.entry("shop")
    assert (entry.state, entry.summary.words) == (
        State.REFUSED,
        "0 of 2 accepted, 1 pending, 1 refused: bad regex",
    )
    story.world({HTTP: "3"}, change("shop", C))
    assert story.entry("shop").state is State.PENDING


def test_nobody_is_there() -> None:
    story = Story()
    story.world({HTTP: "1"}, change("shop", A))

    assert story.entry("shop").state is State.NO_PROXIES
    assert story.entry("shop").summary.words == "no proxy is connected"
    story.opens("one")
    assert story.entry("shop").state is State.PENDING
    story.takes("one", {HTTP: "1"})
    assert story.entry("shop").state is State.LIVE


def test_a_proxy_that_goes_is_not_waited_for_and_is_named() -> None:
    story = full("one", "two")
    story.world({HTTP: "2"}, change("shop", B))
    story.takes("one", {HTTP: "2"})
    story.closes("two")

    assert story.entry("shop").state is State.LIVE
    assert story.states_of("shop") == {"one": ProxyState.ACCEPTED, "two": ProxyState.GONE}


def test_a_proxy_has_accepted_what_all_of_its_streams_have() -> None:
    """Two Envoys may have one node id."""
    story = full("one", "two")
    story.opens("one", stream="again")
    story.takes("again", {HTTP: "1"})
    story.world({HTTP: "2"}, change("shop", B))
    story.takes("two", {HTTP: "2"})
    story.takes("again", {HTTP: "2"})

    assert story.entry("shop").summary.words == "1 of 2 accepted, 1 pending"
    [one] = [each for each in story.ledger.holders(ref("shop")) if each.proxy == "one"]
    assert one.why == "it has not been sent it yet; 2 streams have this node id"
    story.takes("one", {HTTP: "2"})
    entry = story.entry("shop")
    assert (entry.state, entry.summary.words) == (State.LIVE, "2 of 2 accepted")


def test_a_stream_that_ends_is_not_waited_for_and_its_proxy_is_there_by_another() -> None:
    """The first may be half open."""
    story = full("one")
    story.world({HTTP: "2"}, change("shop", B))
    story.opens("one", stream="again")
    story.takes("again", {HTTP: "2"})
    assert story.entry("shop").state is State.PENDING

    story.closes("one")
    entry = story.entry("shop")
    assert (entry.state, entry.summary) == (State.LIVE, Summary(accepted=1))


def test_every_listener_of_a_proxy_counts() -> None:
    story = Story()
    story.world({HTTP: "1", "edge/tls": "1"}, change("shop", A))
    story.opens("one")
    story.listens("one", HTTP, "edge/tls")
    story.takes("one", {HTTP: "1"})

    assert story.entry("shop").state is State.PENDING
    story.takes("one", {"edge/tls": "1"})
    assert story.entry("shop").state is State.LIVE


def test_what_a_listener_needs_goes_with_it() -> None:
    story = Story()
    story.world({HTTP: "1", "edge/tls": "1"}, change("shop", A))
    story.opens("one")
    story.listens("one", HTTP, "edge/tls")
    story.takes("one", {HTTP: "1"})
    story.ledger.acked(story.number("one"), LISTENER, (), ["edge/tls"], story.tick())

    assert story.entry("shop").state is State.LIVE


def test_a_proxy_that_refuses_its_listener_is_why() -> None:
    story = Story()
    story.world({HTTP: "1"}, change("shop", A))
    story.opens("one")
    story.refuses("one", HTTP, "l", "cannot bind", kind=LISTENER)

    assert story.entry("shop").summary.words == "0 of 1 accepted, 1 refused: cannot bind"


def test_a_host_that_is_held_back_is_refused_when_the_proxy_that_refused_it_is_gone() -> None:
    """Who would ask for it is not told it: that nobody has it loaded does not make it live."""
    story = on_demand("one", "two")
    story.world({SHOP: "2"}, change("shop", B))
    story.sends("one", {SHOP: "2"})
    story.refuses("one", SHOP, "2", "bad regex")
    story.stands(HOSTS, SHOP, "2")
    story.takes("one", {SHOP: "1"})
    assert story.entry("shop").summary.words == "0 of 2 accepted, 1 pending, 1 refused: bad regex"

    story.closes("one")
    entry = story.entry("shop")
    assert (entry.state, entry.refusal) == (State.REFUSED, f"somebody refuses {SHOP}")
    [two] = entry.summary.named
    assert (two.state, two.why) == (ProxyState.PENDING, f"it is not sent it: somebody refuses {SHOP}")
    story.closes("two")
    story.opens("idle")
    story.states("idle")
    assert story.states_of("shop")["idle"] is ProxyState.NOT_LOADED
    assert story.entry("shop").state is State.REFUSED

    story.world({SHOP: "3"})
    entry = story.entry("shop")
    assert (entry.state, entry.refusal) == (State.LIVE, "")


@pytest.mark.parametrize(("begin", "name"), [(full, HTTP), (on_demand, SHOP)])
def test_a_cluster_that_a_release_needs_and_nobody_has_is_why(begin: Callable[[str], Story], name: str) -> None:
    story = begin("one")
    story.world({name: "2"}, change("shop", B), clusters=("shop-v2/web",))
    story.refuses("one", "shop-v2/web", "1", "bad cluster", kind=CLUSTERS)
    assert story.entry("shop").state is State.PENDING

    story.stands(CLUSTERS, "shop-v2/web", "1")
    entry = story.entry("shop")
    assert (entry.state, entry.refusal) == (State.REFUSED, "somebody refuses shop-v2/web")
    assert entry.summary.words == "0 of 1 accepted, 1 refused: bad cluster"


def test_a_cluster_that_another_has_accepted_keeps_who_lacks_it() -> None:
    story = on_demand("one", "two")
    story.world({SHOP: "2"}, change("shop", B), clusters=("shop-v2/web",))
    story.takes("two", {SHOP: "2"})
    story.refuses("one", "shop-v2/web", "1", "bad cluster", kind=CLUSTERS)
    story.stands(CLUSTERS, "shop-v2/web", "1", held_back=False)
    assert story.entry("shop").state is State.PENDING, "it has last good, and its routes are on the way"

    story.refusals.lacking.add("one")
    entry = story.entry("shop")
    assert (entry.state, entry.summary.words) == (State.REFUSED, "1 of 2 accepted, 1 refused: bad cluster")


def test_of_many_refusals_a_few_are_told() -> None:
    story = on_demand("one")
    clusters = tuple(f"shop-v2/{name}" for name in "abcde")
    story.world({SHOP: "2"}, change("shop", B), clusters=clusters)
    for each in clusters:
        story.stands(CLUSTERS, each, "1")

    assert story.entry("shop").refusal.endswith("; somebody refuses shop-v2/c; and 2 more")


def test_what_is_refused_and_not_needed_is_no_reason() -> None:
    story = on_demand("one")
    story.world({SHOP: "2"}, change("shop", B), clusters=("shop-v2/web",))
    story.stands(CLUSTERS, "other-v1/web", "1")
    story.stands(CLUSTERS, "shop-v2/web", "0")
    story.stands(HOSTS, "edge/http/other.test", "1")

    assert story.entry("shop").state is State.PENDING


def test_who_gets_no_listener_because_another_refused_it_is_told_why() -> None:
    story = full()
    story.opens("one")
    story.world({HTTP: "2"}, change("shop", B), listeners=(HTTP, "edge/tls"))
    story.stands(LISTENER, HTTP, "1")
    assert story.entry("shop").state is State.PENDING, "it may yet have the other listener"

    story.stands(LISTENER, "edge/tls", "1")
    entry = story.entry("shop")
    assert (entry.state, entry.refusal) == (State.REFUSED, f"somebody refuses {HTTP}; somebody refuses edge/tls")


def test_on_demand_only_those_who_have_it_loaded_are_waited_for() -> None:
    story = on_demand("one")
    story.opens("idle")
    story.states("idle")
    story.world({SHOP: "2"}, change("shop", B))

    assert story.states_of("shop") == {"one": ProxyState.PENDING, "idle": ProxyState.NOT_LOADED}
    story.sends("one", {SHOP: "2"})
    assert story.states_of("shop")["one"] is ProxyState.SENT
    assert story.entry("shop").summary.words == "0 of 1 accepted, 1 sent, 1 not loaded"
    story.acks("one", {SHOP: "2"})
    entry = story.entry("shop")
    assert (entry.state, entry.summary.words) == (State.LIVE, "1 of 1 accepted, 1 not loaded")


def test_who_has_a_release_loaded_is_known() -> None:
    story = on_demand("one", "two")
    story.opens("three")
    story.states("three")
    assert [*story.ledger.holding(ref("shop"))] == [("one", 1), ("two", 2)]
    assert [*story.ledger.holding(ref("other"))] == []

    told_all = full("one", "two")
    assert [each for each, _ in told_all.ledger.holding(ref("shop"))] == ["one", "two"]


def test_a_content_that_nobody_has_loaded_is_live() -> None:
    story = on_demand()
    story.opens("idle")
    assert story.entry("shop").state is State.PENDING

    story.states("idle")
    entry = story.entry("shop")
    assert (entry.state, entry.first_ack, entry.summary) == (State.LIVE, None, Summary(not_loaded=1))
    assert entry.summary.words == "1 not loaded"


def test_a_proxy_that_comes_back_with_an_older_content_is_waited_for() -> None:
    story = on_demand("one")
    story.closes("one")
    story.world({SHOP: "2"}, change("shop", B))
    story.opens("one")
    assert story.entry("shop").state is State.PENDING
    story.states("one", {SHOP: "1"})

    assert story.entry("shop").state is State.PENDING
    story.takes("one", {SHOP: "2"})
    assert story.entry("shop").state is State.LIVE


def test_who_was_told_that_a_host_does_not_exist_is_waited_for_when_it_does() -> None:
    story = on_demand("one")
    new = "edge/http/new.test"
    story.takes("one", {new: "absent"})
    story.world({SHOP: "1", new: "1"}, change("new", B))

    assert story.states_of("new") == {"one": ProxyState.PENDING}
    story.takes("one", {new: "1"})
    assert story.entry("new").state is State.LIVE


def test_another_release_of_the_gateway_is_not_concerned_on_demand() -> None:
    story = on_demand("one")
    story.world({SHOP: "2", "edge/http/other.test": "1"}, change("shop", B), change("other", C))

    assert [story.entry(name).state for name in ("shop", "other")] == [State.PENDING, State.LIVE]


def test_hosts_under_a_wildcard_are_carriers_of_their_own() -> None:
    def wildcard(version: str) -> Resource:
        return resource("edge/http/*.shop.test", version).for_names(lambda name: resource(name, f"{version}-{name}"))

    acme = "edge/http/acme.shop.test"
    story = Story(on_demand=True)
    fleet = EDGE, Delivery.ON_DEMAND
    routes = Map({HTTP: resource(HTTP, "r")})

    def world(serial: int, version: str, said: Change) -> None:
        told = {ROUTES: routes, HOSTS: Map({"edge/http/*.shop.test": wildcard(version)})}
        changed = {HOSTS: frozenset(told[HOSTS])}
        snapshot = Snapshot(told, serial, serial - 1, changed, on_demand=True)
        story.ledger.publish(Published(serial, [said], {fleet: snapshot}), story.tick())

    world(1, "1", change("shop", A, "*.shop.test"))
    story.opens("one")
    story.states("one")
    story.takes("one", {acme: f"1-{acme}"})
    assert story.entry("shop").state is State.LIVE
    world(2, "2", change("shop", B, "*.shop.test"))

    assert story.states_of("shop") == {"one": ProxyState.PENDING}
    story.refuses("one", acme, f"2-{acme}", "bad regex")
    assert story.entry("shop").summary.words == "0 of 1 accepted, 1 refused: bad regex"
    story.stands(HOSTS, acme, f"2-{acme}")
    assert story.entry("shop").refusal == f"somebody refuses {acme}"
    story.refusals.found.clear()
    story.takes("one", {acme: f"2-{acme}"})
    assert story.entry("shop").state is State.LIVE


def test_what_waits_for_extensions_is_live_only_in_a_world_that_has_it() -> None:
    story = full("one")
    story.world({HTTP: "1"}, change("shop", B), late="shop")

    assert story.states_of("shop") == {"one": ProxyState.PENDING}
    story.world({HTTP: "2"})
    assert story.entry("shop").state is State.PENDING
    story.takes("one", {HTTP: "2"})
    assert story.entry("shop").state is State.LIVE


def restarted(*entries: Entry) -> Story:
    return Story(*entries)


BEFORE = Entry(3, ref("shop"), A, NOON)


def test_after_a_restart_an_entry_goes_on() -> None:
    story = restarted(BEFORE)
    story.world({HTTP: "1"}, change("shop", A), complete=True)
    story.opens("one")
    story.takes("one", {HTTP: "1"})

    entry = story.entry("shop")
    assert (entry.number, entry.accepted, entry.state) == (3, NOON, State.LIVE)


def test_after_a_restart_what_was_live_is_live() -> None:
    story = restarted(replace(BEFORE, live=NOON))
    story.world({HTTP: "1"}, change("shop", A), complete=True)

    assert story.entry("shop").state is State.LIVE


OWING = replace(BEFORE, summary=Summary(pending=1, named=(Holder("two", "edge", ProxyState.PENDING),)))


def test_after_a_restart_who_was_behind_is_waited_for() -> None:
    story = restarted(OWING)
    story.world({HTTP: "1"}, change("shop", A), complete=True)
    story.opens("one")
    story.takes("one", {HTTP: "1"})

    assert story.entry("shop").state is State.PENDING
    story.opens("two")
    assert story.entry("shop").state is State.PENDING
    story.takes("two", {HTTP: "1"})
    assert story.entry("shop").state is State.LIVE


def test_after_a_restart_who_was_behind_is_not_waited_for_for_ever() -> None:
    story = restarted(OWING)
    story.world({HTTP: "1"}, change("shop", A), change("other", B), complete=True)
    story.opens("one")
    story.takes("one", {HTTP: "1"})
    assert [story.entry(name).state for name in ("shop", "other")] == [State.PENDING, State.LIVE]

    story.ledger.go_on(story.tick())
    assert story.entry("shop").state is State.LIVE


def test_after_a_restart_those_whom_nobody_named_are_waited_for_all_the_time() -> None:
    story = restarted(replace(OWING, summary=replace(OWING.summary, sent=1)))
    story.world({HTTP: "1"}, change("shop", A), complete=True)
    for proxy in ("one", "two"):
        story.opens(proxy)
        story.takes(proxy, {HTTP: "1"})
    assert story.entry("shop").state is State.PENDING

    story.ledger.go_on(story.tick())
    assert story.entry("shop").state is State.LIVE


@pytest.mark.parametrize(("changes", "state"), [([change("shop", B)], State.SUPERSEDED), ([], State.REMOVED)])
def test_what_changed_while_no_server_ran_ends_the_entry(changes: list[Change], state: State) -> None:
    story = restarted(BEFORE)
    story.world({HTTP: "1"}, *changes, complete=True)

    found = {each.number: each.state for each in story.ledger.take_unsaved(100)}
    assert found == {3: state} | ({8: State.NO_PROXIES} if changes else {})


def test_a_content_in_force_is_found_by_how_it_begins() -> None:
    story = Story()
    story.world({HTTP: "1"}, change("one", A), change("two", B), change("same", A[:8] + B[8:]))

    assert story.ledger.releases_with(A[:8]) == [ref("one"), ref("same")]
    assert story.ledger.releases_with(A[:9]) == [ref("one")]
    story.world({HTTP: "2"}, Change(ref("same"), None), change("one", B))
    assert story.ledger.releases_with(A[:8]) == []
    assert story.ledger.releases_with(B) == [ref("one"), ref("two")]


def test_news_and_what_is_to_be_saved_are_told_once() -> None:
    story = full("one")
    story.ledger.take_news()
    story.ledger.take_unsaved(100)
    story.world({HTTP: "2"}, change("shop", B))

    assert story.ledger.take_news() == {ref("shop")}
    assert [each.content for each in story.ledger.take_unsaved(1)] == [A]
    assert [each.content for each in story.ledger.take_unsaved(100)] == [B]
    assert (story.ledger.take_news(), story.ledger.has_unsaved) == (set(), False)
    story.takes("one", {HTTP: "2"})
    assert [(each.content, each.state) for each in story.ledger.take_unsaved(100)] == [(B, State.LIVE)]


def test_a_gateway_that_only_a_proxy_speaks_of_is_forgotten_with_it() -> None:
    story = Story()
    ledger = story.ledger
    ledger.opened(9, "stray", (ref("nowhere"), Delivery.FULL), NOON)
    ledger.closed(9, NOON)

    assert not vars(ledger)["_fleets"]


PROXIES = st.sampled_from(["p1", "p2", "p3"])
NAMES = st.sampled_from(["shop", "other"])


class Recount(RuleBasedStateMachine):
    """A naive model beside the ledger: for each proxy which world's content of each host it holds."""

    on_demand = False

    @initialize()
    def begin(self) -> None:
        self.story = Story(on_demand=self.on_demand)
        self.serial = {"shop": 0, "other": 0}
        self.versions = {"shop": 0, "other": 0}
        self.held: dict[str, dict[str, int]] = {}
        self.way: dict[str, dict[str, int]] = {}
        self.was_live: dict[str, bool] = {"shop": False, "other": False}
        self.flip("shop")
        self.flip("other")

    def carriers(self) -> dict[str, str]:
        if self.on_demand:
            return {f"edge/http/{name}.test": str(version) for name, version in self.versions.items() if version}
        return {HTTP: str(self.story.serial + 1)}

    def told(self, name: str) -> tuple[str, str]:
        """What carries a release, and its newest version."""
        carrier = f"edge/http/{name}.test" if self.on_demand else HTTP
        return carrier, self.story.snapshot.resources[HOSTS if self.on_demand else ROUTES][carrier].version

    @rule(name=NAMES)
    def flip(self, name: str) -> None:
        self.versions[name] += 1
        self.was_live[name] = False
        self.story.world(self.carriers(), change(name, f"{self.versions[name]:032x}"))
        self.serial[name] = self.versions[name] if self.on_demand else self.story.serial

    @rule(proxy=PROXIES)
    def connect(self, proxy: str) -> None:
        if proxy not in self.held:
            self.held[proxy], self.way[proxy] = {}, {}
            self.story.opens(proxy)
            if self.on_demand:
                self.story.states(proxy)

    @rule(proxy=PROXIES)
    def leave(self, proxy: str) -> None:
        if proxy in self.held:
            del self.held[proxy], self.way[proxy]
            self.story.closes(proxy)

    @rule(proxy=PROXIES, name=NAMES)
    def send(self, proxy: str, name: str) -> None:
        if proxy in self.held and not self.way[proxy]:
            carrier, version = self.told(name)
            self.way[proxy] = {carrier: int(version)}
            self.held[proxy][carrier] = 0
            self.story.sends(proxy, {carrier: version})

    @rule(proxy=PROXIES)
    def answer(self, proxy: str) -> None:
        for carrier, version in self.way.get(proxy, {}).items():
            self.held[proxy][carrier] = version
            self.story.acks(proxy, {carrier: str(version)})
        if proxy in self.way:
            self.way[proxy] = {}

    @rule(proxy=PROXIES)
    def refuse(self, proxy: str) -> None:
        for carrier, version in self.way.get(proxy, {}).items():
            self.story.refuses(proxy, carrier, str(version))
        if proxy in self.way:
            self.way[proxy] = {}

    def counted(self, name: str) -> tuple[int, int, int]:
        """Accepted, behind, not loaded."""
        carrier, _ = self.told(name)
        states = [held.get(carrier, -1 if self.on_demand else 0) for held in self.held.values()]
        accepted = sum(1 for each in states if each >= self.serial[name])
        loaded = sum(1 for each in states if each >= 0)
        return accepted, loaded - accepted, len(states) - loaded

    @invariant()
    def counts_are_those_of_a_recount(self) -> None:
        for name in self.versions if hasattr(self, "story") else ():
            summary = self.story.entry(name).summary
            behind = summary.sent + summary.pending + summary.refused
            assert (summary.accepted, behind, summary.not_loaded) == self.counted(name)
            assert summary.gone <= 3

    @invariant()
    def live_is_what_nobody_was_behind_of_once(self) -> None:
        for name in self.versions if hasattr(self, "story") else ():
            _, behind, _ = self.counted(name)
            self.was_live[name] = self.was_live[name] or bool(self.held and not behind)
            assert (self.story.entry(name).live is not None) == self.was_live[name]

    @invariant()
    def counting_fast_and_looking_at_each_agree(self) -> None:
        for name in self.versions if hasattr(self, "story") else ():
            states = self.story.states_of(name)
            summary = self.story.entry(name).summary
            assert summary.accepted == sum(1 for each in states.values() if each is ProxyState.ACCEPTED)
            assert summary.gone == sum(1 for each in states.values() if each is ProxyState.GONE)


class RecountOnDemand(Recount):
    on_demand = True


TestFullDelivery = Recount.TestCase
TestFullDelivery.settings = settings(max_examples=60, stateful_step_count=30)
TestOnDemand = RecountOnDemand.TestCase
TestOnDemand.settings = settings(max_examples=60, stateful_step_count=30)


def test_times_are_those_of_facts() -> None:
    story = full("one")
    assert isinstance(story.entry("shop").live, datetime)


def test_what_is_given_back_is_taken_first_and_as_it_is_by_then() -> None:
    story = full("one")
    story.ledger.take_unsaved(100)
    story.world({HTTP: "2"}, change("shop", B))
    taken = story.ledger.take_unsaved(100)
    story.world({HTTP: "3"}, change("other", A))
    story.takes("one", {HTTP: "3"})
    story.ledger.give_back(taken)

    assert [each.content for each in taken] == [A, B]
    assert [each.release for each in story.ledger.unsaved(lambda each: each.content == A)] == [
        ref("shop"),
        ref("other"),
    ]
    assert story.ledger.take_unsaved(1) == taken[:1]
    assert [(each.content, each.state) for each in story.ledger.take_unsaved(1)] == [(B, State.LIVE)]
    assert [each.release for each in story.ledger.take_unsaved(100)] == [ref("other")]
