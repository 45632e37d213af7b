"""Make before break, of each virtual host alone; one story a test."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from typing_extensions import override

from tests.protocol.dialogue import Dialogue, Refused, Sent, ack, ask, nack, started
from tests.protocol.fake_envoy import SLOW, OnDemandEnvoy, written
from tests.protocol.test_stream import RESTING, Content, Conversation
from tests.protocol.worlds import CDS, EDS, LDS, RDS, VHDS, on_demand
from xds_server.protocol import budget, subscription
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Send, SotwRequest, Stuck, Wake
from xds_server.protocol.plan import REST
from xds_server.protocol.virtual_hosts import without_port
from xds_server.snapshot import Resource, Snapshot, TypeUrl


def test_a_host_is_loaded_after_its_clusters() -> None:  # R30, R38, R39
    (
        started(on_demand(["a>x", "b"], ["x"], ["shop>a"]))
        >> ask(VHDS, "e/h/shop") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ask(EDS, "x") << Sent(EDS, "6", "x=1")
        >> ack(EDS, "6") << None
        >> ack(CDS, "5") << Sent(VHDS, "7", "e/h/shop=1")
        >> ack(VHDS, "7") << None
    )  # fmt: skip


def test_a_host_does_not_wait_for_the_clusters_of_another() -> None:
    first = on_demand(["a", "b"], [], ["one>a", "two>b", "three>a"])
    (
        started(first)
        >> ask(VHDS, "e/h/one") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << Sent(VHDS, "6", "e/h/one=1")
        >> ack(VHDS, "6")
        >> ask(VHDS, "e/h/two", "e/h/three") << (Sent(CDS, "7", "b=1"), Sent(VHDS, "8", "e/h/three=1"), Wake(2.0, "7"))
        >> ack(VHDS, "8") << None
        >> ack(CDS, "7") << Sent(VHDS, "9", "e/h/two=1")
    )  # fmt: skip


def test_a_cluster_that_does_not_warm_is_waited_for_no_longer_than_that() -> None:
    first = on_demand(["a", "b"], [], ["one>a", "two>b"])
    (
        started(first)
        >> ask(VHDS, "e/h/one") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ask(VHDS, "e/h/two") << None
        >> "5" << (Stuck(("a",)), Sent(VHDS, "6", "e/h/one=1"))
        >> ack(VHDS, "6") << None
        >> ack(CDS, "5") << (Sent(CDS, "7", "b=1"), Wake(2.0, "7"))
        >> ack(CDS, "7") << Sent(VHDS, "8", "e/h/two=1")
    )  # fmt: skip


def test_a_cluster_that_is_sent_once_more_is_waited_for_once_more() -> None:
    first = on_demand(["a"], [], ["one>a"])
    second = on_demand([], [], [], after=first)
    third = on_demand(["a"], [], ["one>a"], after=second)
    (
        started(first)
        >> ask(VHDS, "e/h/one") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> "5" << (Stuck(("a",)), Sent(VHDS, "6", "e/h/one=1"))
        >> ack(VHDS, "6")
        >> ack(CDS, "5")
        >> second << Sent(VHDS, "7", "e/h/one=1ofe/h/*")
        >> ack(VHDS, "7") << Sent(CDS, "8", removed="a")
        >> third << Wake(2.0, "8")
        >> ack(CDS, "8") << (Sent(CDS, "9", "a=1"), Wake(2.0, "9"))
        >> ack(CDS, "9") << Sent(VHDS, "10", "e/h/one=1")
    )  # fmt: skip


def test_a_refused_cluster_keeps_loaded_hosts_as_they_are_and_lets_others_go_on_in_time() -> None:  # R12, R30
    first = on_demand(["a", "b"], [], ["one>a", "two>b"])
    second = on_demand(["a", "b"], [], ["one=2>b", "two>b"], after=first)
    third = on_demand(["a", "b=2"], [], ["one=2>b", "two>b"], after=second)
    (
        started(first)
        >> ask(VHDS, "e/h/one") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << Sent(VHDS, "6", "e/h/one=1")
        >> ack(VHDS, "6")
        >> ask(VHDS, "e/h/two") << (Sent(CDS, "7", "b=1"), Wake(2.0, "7"))
        >> nack(CDS, "7", "b is bad") << (Refused(CDS, "7", "b"), Wake(2.0, "refused-b"))
        >> "7" << None
        >> second << None
        >> "refused-b" << (Stuck(("b",)), Sent(VHDS, "8", "e/h/two=1"))
        >> ack(VHDS, "8") << None
        >> third << (Sent(CDS, "9", "b=2"), Wake(2.0, "9"))
        >> ack(CDS, "9") << Sent(VHDS, "10", "e/h/one=2")
    )  # fmt: skip


def test_make_before_break() -> None:  # R28, R30
    first = on_demand(["a"], [], ["one>a"])
    second = on_demand(["b"], [], ["one=2>b"], after=first)
    third = on_demand(["c"], [], ["one=3>c"], after=second)
    (
        started(first)
        >> ask(VHDS, "e/h/one") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << Sent(VHDS, "6", "e/h/one=1")
        >> ack(VHDS, "6")
        >> second << (Sent(CDS, "7", "b=1"), Wake(2.0, "7"))
        >> third << None
        >> ack(CDS, "7") << (Sent(CDS, "8", "c=1", removed="b"), Wake(2.0, "8"))
        >> ack(CDS, "8") << Sent(VHDS, "9", "e/h/one=3")
        >> ack(VHDS, "9") << Sent(CDS, "10", removed="a")
    )  # fmt: skip


def test_a_host_that_is_refused_keeps_its_clusters() -> None:  # R30
    first = on_demand(["a"], [], ["one>a"])
    second = on_demand([], [], ["one=2"], after=first)
    (
        started(first)
        >> ask(VHDS, "e/h/one") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << Sent(VHDS, "6", "e/h/one=1")
        >> ack(VHDS, "6")
        >> second << Sent(VHDS, "7", "e/h/one=2")
        >> nack(VHDS, "7", "e/h/one is bad") << Refused(VHDS, "7", "e/h/one")
        >> on_demand([], [], ["one=3"], after=second) << Sent(VHDS, "8", "e/h/one=3")
        >> ack(VHDS, "8") << Sent(CDS, "9", removed="a")
    )  # fmt: skip


def test_listeners_wait_for_what_every_proxy_gets_alone() -> None:
    first = on_demand(["!a", "b"], [], ["one>b"])
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> ask(LDS) << Wake(2.0, "1")
        >> ack(CDS, "1") << Sent(LDS, "2", "l=1")
        >> ack(LDS, "2")
        >> ask(RDS, "e/h") << Sent(RDS, "3", "e/h=1")
        >> ack(RDS, "3")
        >> ask(VHDS, "e/h/one") << (Sent(CDS, "4", "b=1"), Sent(VHDS, "5", "e/h/-=1"), Wake(2.0, "4"))
        >> on_demand(["!a", "b"], [], ["one>b"], routes="e/h=2", after=first) << Sent(RDS, "6", "e/h=2")
    )  # fmt: skip


def test_clusters_wait_until_it_is_known_which_hosts_the_client_has() -> None:  # R30
    (
        Dialogue(DeltaStream())
        >> on_demand(["a"], [], ["one=2>a"])
        >> DeltaRequest(CDS, ("*",), (), {"a": "1", "gone": "1"}) << Wake(2.0, "introduction")
        >> DeltaRequest(RDS, ("e/h",), (), {"e/h": "1"}) << None
        >> DeltaRequest(VHDS, ("*", "e/h/one"), (), {"e/h/-": "1", "e/h/one": "1"}) << Sent(VHDS, "1", "e/h/one=2")
        >> ack(VHDS, "1") << Sent(CDS, "2", removed="gone")
    )  # fmt: skip


LISTENERS = {"l": "e/l", "m": "e/m"}
ENDPOINTS_OF = {"a": ("x",), "b": ("x",), "c": ("y",), "t": ("y",), SLOW: ()}
HOSTS = ["x.t", "y.t", "*.t", "d.p"]
REQUESTED = ["x.t", "y.t", "z.t", "d.p", "q.p", "n", "o", "x.t:80", "z.t:81", "n:80", "*.t"]
HOST = ["", "", "1", "1a", "1b", "2a", "2ac", "1t", "1s", "2bs"]
"""Nothing, or a version and the first letters of the clusters that it names, if they exist."""

VERSIONS = st.sampled_from("12")


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A consistent world: its virtual hosts name its clusters. `t` is for every proxy, `*` and `*.p` refuse."""
    clusters = draw(st.dictionaries(st.sampled_from([*ENDPOINTS_OF]), VERSIONS, min_size=1))
    listeners = draw(st.dictionaries(st.sampled_from("lm"), VERSIONS, min_size=1))
    routes = [LISTENERS[name] for name in listeners]
    endpoints = draw(st.dictionaries(st.sampled_from("xy"), VERSIONS))
    hosts = {f"{route}/{name}": draw(st.sampled_from(HOST)) for route in routes for name in HOSTS}
    refusals = draw(VERSIONS)
    needs = {name: (*ENDPOINTS_OF[name],) for name in clusters}
    return {
        CDS: tuple(written(name, version, needs[name], needs[name]) for name, version in clusters.items()),
        EDS: tuple(written(name, version) for name, version in endpoints.items()),
        LDS: tuple(written(name, version, [LISTENERS[name]], [LISTENERS[name]]) for name, version in listeners.items()),
        RDS: tuple(written(name, draw(st.sampled_from("1112"))) for name in routes),
        VHDS: (
            *(
                host(name, each[0], [target for target in clusters if target[0] in each[1:]])
                for name, each in hosts.items()
                if each
            ),
            *(host(f"{name}/-", "1", ()) for name in routes),
            *(host(f"{name}/{wildcard}", refusals, (), refuses=True) for name in routes for wildcard in ("*", "*.p")),
        ),
    }


def host(name: str, version: str, clusters: Sequence[str], *, refuses: bool = False) -> Resource:
    version = "+".join((version, *sorted(clusters)))
    made = written(name, version, sorted(clusters), clusters)
    if "*" not in name:
        return made
    return made.for_names(lambda exact: written(exact, f"{version}of{name}", clusters, clusters), refuses=refuses)


class OnDemandConversation(Conversation):
    """A client that asks for hosts and clusters, too."""

    envoy: OnDemandEnvoy

    @override
    def connection(self, name: str) -> DeltaStream:
        return DeltaStream(chunk=20, name=name, pace=RESTING)

    @override
    def client(self) -> OnDemandEnvoy:
        return OnDemandEnvoy()

    @override
    def snapshot(self, content: Content, after: Snapshot | None) -> Snapshot:
        always = {VHDS: frozenset(f"{each.name}/-" for each in content[RDS]), CDS: frozenset({"t"})}
        return replace(super().snapshot(content, after), on_demand=True, always=always)

    @override
    @initialize(content=contents())
    def begin(self, content: Content) -> None:
        self.start(content)

    @override
    @rule(content=contents(), follows=st.booleans())
    def publish(self, content: Content, follows: bool) -> None:
        self.proceed(content, follows)

    @rule(names=st.lists(st.sampled_from(REQUESTED), min_size=1, max_size=4))
    def client_needs_hosts(self, names: list[str]) -> None:
        for route in self.envoy.held[RDS]:
            for name in names:
                self.envoy.ask(VHDS, f"{route}/{name}")

    @rule(names=st.lists(st.sampled_from(REQUESTED), min_size=1, max_size=4))
    def client_needs_hosts_and_warms_nothing_in_time(self, names: list[str]) -> None:
        self.client_needs_hosts(names)
        while self.envoy.outbox:
            self.server_reads()
        for _ in range(len(self.timers)):
            self.time_passes()

    @rule(name=st.sampled_from("abz"))
    def client_needs_a_cluster(self, name: str) -> None:
        self.envoy.ask(CDS, name)

    @override
    def newly_wanted(self, request: SotwRequest | DeltaRequest) -> set[str]:
        return {without_port(name) for name in super().newly_wanted(request)}

    @override
    def version(self, kind: str, name: str) -> str:
        found = self.served(name) if kind == VHDS else self.world.of(TypeUrl(kind)).get(name)
        return found.version if found else "absent"

    @override
    def dangling(self) -> set[str]:
        named = {name for item in self.envoy.held[VHDS].values() for name in item.references}
        return named - self.envoy.held[CDS].keys()

    @override
    def check_quiet(self) -> None:
        """What is loaded is the newest; what was asked for and exists is loaded, and so is what that needs."""
        world, held = self.world, self.envoy.held
        self.holds(LDS, world.of(LDS))
        self.holds(RDS, self.envoy.names(RDS).intersection(world.of(RDS)))
        self.holds(EDS, self.envoy.names(EDS))
        self.holds(VHDS, self.hosts())
        self.holds(CDS, {*held[CDS], *self.wanted_clusters()})
        self.all_is_answered()

    def all_is_answered(self) -> None:
        unanswered = {name for name in self.envoy.waiting if (VHDS, without_port(name)) not in self.refused}
        assert not {name for name in unanswered if not self.waits_for_refused(without_port(name))}

    def must_be_loaded(self, name: str) -> bool:
        return True

    def holds(self, kind: TypeUrl, names: Iterable[str]) -> None:
        for name in names:
            item = self.envoy.held[kind].get(name)
            as_it_is = (item.version if item else "absent") == self.version(kind, name)
            assert as_it_is or (kind, name) in self.refused or self.refusal_explains(kind, name), (kind, name)

    def refusal_explains(self, kind: TypeUrl, name: str) -> bool:
        if kind == VHDS:
            return self.waits_for_refused(name) or (bool(self.refused) and self.world_has(name) is None)
        gone = name not in self.world.of(kind)
        return bool(self.refused) and (gone or any(kind in (CDS, LDS) for kind, _ in self.refused))

    def waits_for_refused(self, name: str) -> bool:
        found = self.served(name)
        return found is not None and any((CDS, need) in self.refused for need in found.needs)

    def hosts(self) -> set[str]:
        """Names of virtual hosts that must be as the world has them."""
        asked = {without_port(name) for name in self.envoy.asked[VHDS]}
        there = {name for name in asked if self.serves(name) and self.must_be_loaded(name)} | self.world.always[VHDS]
        return {
            *self.envoy.held[VHDS],
            *(name for name in there if name.rpartition("/")[0] in self.envoy.held[RDS].keys() & {*self.world.of(RDS)}),
        }

    def wanted_clusters(self) -> set[str]:
        loaded = [self.served(name) for name in self.envoy.held[VHDS]]
        needs = {need for each in loaded if each is not None for need in each.needs}
        return (needs | self.world.always[CDS] | self.envoy.asked[CDS]) & {*self.world.of(CDS)}

    def serves(self, name: str) -> bool:
        """The world has something else than a refusal for it."""
        found = self.world_has(name)
        return found is not None and not found.refuses

    def served(self, name: str) -> Resource | None:
        found = self.world_has(name)
        return found if found is None or found.exact is None else found.exact(name)

    def world_has(self, name: str) -> Resource | None:
        route, _, domain = name.rpartition("/")
        labels = domain.split(".")
        wildcards = (".".join(("*", *labels[start:])) for start in range(1, len(labels) + 1))
        found = (self.world.of(VHDS).get(f"{route}/{each}") for each in (domain, *wildcards))
        return None if "*" in domain else next((each for each in found if each is not None), None)


class CrowdedConversation(OnDemandConversation):
    """A client that asks for more names that do not exist than are answered at once, or remembered."""

    @override
    def dial(self, *, remembers: bool) -> None:
        self.denied = 0
        self.allowed = budget.BURST
        super().dial(remembers=remembers)

    @override
    def hear_response(self, send: Send) -> None:
        super().hear_response(send)
        if send.type_url == VHDS:
            self.denied += len(send.removed)
            assert self.denied <= self.allowed, "more answers than there are tokens"

    @override
    def elapse(self, token: str) -> None:
        self.allowed += budget.EACH_SECOND if token.startswith(budget.PREFIX) else 0
        super().elapse(token)

    @override
    def check_quiet(self) -> None:
        while token := next((each for each in self.timers if each.startswith((budget.PREFIX, REST))), None):
            self.passes(token)
        super().check_quiet()

    @override
    def all_is_answered(self) -> None:
        if not self.forgotten():
            super().all_is_answered()

    @override
    def must_be_loaded(self, name: str) -> bool:
        """A host under a new wildcard may be one that was forgotten."""
        return name in self.world.of(VHDS) or not self.forgotten()

    def forgotten(self) -> bool:
        return len(self.envoy.asked[VHDS]) > subscription.REMEMBERED


@pytest.mark.parametrize("conversation", [OnDemandConversation, CrowdedConversation])
def test_laws(conversation: type[OnDemandConversation], monkeypatch: pytest.MonkeyPatch) -> None:
    if conversation is CrowdedConversation:
        monkeypatch.setattr(budget, "BURST", 2)
        monkeypatch.setattr(budget, "EACH_SECOND", 1)
        monkeypatch.setattr(subscription, "REMEMBERED", 3)
    run_state_machine_as_test(
        conversation,
        settings=settings(
            max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
