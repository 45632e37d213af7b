"""Laws that hold for every conversation, in both dialects; and what ends a stream."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from tests.protocol.dialogue import NODE
from tests.protocol.fake_envoy import SLOW, DeltaEnvoy, FakeEnvoy, SotwEnvoy, written
from tests.protocol.worlds import CDS, EDS, LDS, RDS, RUNTIME, snapshot_of
from xds_server.domain.errors import PeerMisbehaved
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import (
    Acked,
    DeltaRequest,
    Effect,
    End,
    Nacked,
    Node,
    Quarantined,
    Send,
    SotwRequest,
    Stuck,
    Untried,
    Wake,
)
from xds_server.protocol.plan import INTRODUCTION, REST, Pace
from xds_server.protocol.retries import PREFIX as RETRY
from xds_server.protocol.sotw import SotwStream
from xds_server.protocol.stream import Stream
from xds_server.snapshot import Resource, Snapshot, TypeUrl

Content = Mapping[TypeUrl, tuple[Resource, ...]]

ENDPOINTS_OF = {"a": ("x",), "b": ("x",), "c": ("y",), SLOW: ()}
VERSIONS = st.sampled_from("12")


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A consistent world: its listeners have routes, its routes name its clusters. Endpoints may be missing."""
    clusters = draw(st.dictionaries(st.sampled_from([*ENDPOINTS_OF]), VERSIONS, min_size=1))
    listeners = draw(st.dictionaries(st.sampled_from("lm"), VERSIONS, min_size=1))
    targets = st.lists(st.sampled_from(sorted(clusters)), unique=True)
    routes = {name: sorted(draw(targets)) for name in listeners}
    endpoints = draw(st.dictionaries(st.sampled_from("xy"), VERSIONS))
    needs = {name: (*ENDPOINTS_OF[name],) for name in clusters}
    return {
        CDS: tuple(written(name, version, needs[name], needs[name]) for name, version in clusters.items()),
        EDS: tuple(written(name, version) for name, version in endpoints.items()),
        LDS: tuple(written(name, version, [name], [name]) for name, version in listeners.items()),
        RDS: tuple(written(name, "+".join(["r", *named]), named) for name, named in routes.items()),
    }


RESTING = Pace(patience=2.0, rest=5.0)


class Conversation(RuleBasedStateMachine):
    """A stream and a model of Envoy, any message delivered at any time, and worlds published in between."""

    def connection(self, name: str) -> Stream[Any]:
        raise NotImplementedError

    def client(self) -> FakeEnvoy:
        raise NotImplementedError

    @initialize(content=contents())
    def begin(self, content: Content) -> None:
        self.start(content)

    def start(self, content: Content) -> None:
        self.world = self.snapshot(content, None)
        self.envoy = self.client()
        self.dialled = 0
        self.excused: set[str] = set()
        self.unsure = False
        self.dial(remembers=False)

    def dial(self, *, remembers: bool) -> None:
        self.dialled += 1
        self.stream = self.connection(f"{self.dialled}-")
        self.timers: list[str] = []
        self.newest_retry = ""
        self.sent: dict[str, Send] = {}
        self.unanswered: dict[str, str] = {}
        self.refused: dict[tuple[str, str], str] = {}
        self.accepted: dict[tuple[str, str], str] = {}
        self.wanted: dict[str, set[str]] = {}
        self.envoy.connect(remembers=remembers)
        self.hear(self.stream.publish(self.world))

    def snapshot(self, content: Content, after: Snapshot | None) -> Snapshot:
        return snapshot_of(content, after)

    @rule(content=contents(), follows=st.booleans())
    def publish(self, content: Content, follows: bool) -> None:
        self.proceed(content, follows)

    def proceed(self, content: Content, follows: bool) -> None:
        self.world = self.snapshot(content, self.world if follows else None)
        if not follows:
            self.world = replace(self.world, serial=self.world.serial + 1000)
        for (kind, name), version in list(self.refused.items()):
            if self.version(kind, name) != version:
                del self.refused[kind, name]
        self.hear(self.stream.publish(self.world))

    @rule()
    @precondition(lambda self: self.envoy.outbox)
    def server_reads(self) -> None:
        request = self.envoy.outbox.popleft()
        for name in self.newly_wanted(request):
            self.refused.pop((request.type_url, name), None)
        if self.unanswered.get(request.type_url) == request.nonce:
            del self.unanswered[request.type_url]
        self.hear(self.stream.receive(request))

    @rule()
    @precondition(lambda self: self.envoy.inbox)
    def client_accepts(self) -> None:
        self.envoy.accept()

    @rule(data=st.data(), says_why=st.booleans(), in_part=st.booleans())
    @precondition(lambda self: self.envoy.inbox)
    def client_refuses(self, data: st.DataObject, says_why: bool, in_part: bool) -> None:
        told = self.envoy.peek()
        culprits = [item.name for item in told.items if self.envoy.held[told.type_url].get(item.name) != item]
        if not culprits:
            return self.envoy.accept()
        culprit = data.draw(st.sampled_from(culprits))
        reason = f"cannot use {culprit}: no" if says_why else "no"
        # Only who says why may have applied the rest: it is sent again, and then both sides agree.
        return self.envoy.refuse(culprit, reason, in_part=in_part and says_why)

    @rule(kind=st.sampled_from([EDS, RDS]))
    def client_repeats(self, kind: TypeUrl) -> None:
        if self.envoy.names(kind) and not self.envoy.outbox:
            self.envoy.repeat(kind)

    @rule()
    @precondition(lambda self: any(name.startswith(SLOW) for name in self.envoy.warming))
    def slow_names_are_resolved(self) -> None:
        self.envoy.resolve()

    @rule()
    @precondition(lambda self: self.envoy.draining)
    def listeners_are_drained(self) -> None:
        self.envoy.drain()

    @rule()
    @precondition(lambda self: self.timers)
    def time_passes(self) -> None:
        token = self.timers.pop(0)
        if token == INTRODUCTION:
            self.deliver()  # it is long enough for what a client has to say
        if token == self.newest_retry:  # an older one was for a world that is over
            self.listeners_are_tried_again()
        self.elapse(token)

    def elapse(self, token: str) -> None:
        self.hear(self.stream.elapsed(token))

    def listeners_are_tried_again(self) -> None:
        self.refused = {key: version for key, version in self.refused.items() if key[0] != LDS}

    @rule(remembers=st.booleans())
    def client_reconnects(self, remembers: bool) -> None:
        # A SotW client cannot say what it holds of old, only which version: in a newer world it may lose a cluster that
        # its routes still name, until it has accepted all.
        self.unsure = remembers and isinstance(self.envoy, SotwEnvoy)
        if not remembers:
            self.excused.clear()
        self.dial(remembers=remembers)
        # A client that reconnects says that it has a cluster whose name is still being resolved, as if it were warm.
        self.excused.update(self.envoy.warming)

    @rule()
    def all_is_delivered(self) -> None:
        self.deliver()
        while waits := [token for token in self.timers if token == INTRODUCTION or token.startswith(REST)]:
            self.passes(waits[0])
        assert not self.unanswered
        self.check_quiet()
        self.unsure = self.unsure and bool(self.refused)
        # Routes may come to name a refused cluster later: the server has said that it goes on without it.
        self.excused &= self.dangling() | {name for kind, name in self.refused if kind == CDS}

    def passes(self, token: str) -> None:
        self.timers.remove(token)
        self.elapse(token)
        self.deliver()

    @invariant()
    def no_route_names_a_cluster_that_is_not_held(self) -> None:
        assert self.unsure or self.dangling() <= self.excused

    def deliver(self) -> None:
        for _ in range(200):
            self.no_route_names_a_cluster_that_is_not_held()
            if self.envoy.outbox:
                self.server_reads()
            elif self.envoy.inbox:
                self.envoy.accept()
            elif self.envoy.draining or SLOW in self.envoy.warming:
                self.envoy.drain()
                self.envoy.resolve()
            elif self.envoy.warming:
                assert any(kind == EDS for kind, _ in self.refused), "a cluster was left without endpoints"
                self.envoy.give_up()
            else:
                return
        pytest.fail("the conversation does not end")

    def hear(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self.hear_response(effect)
                case Wake():
                    self.timers.append(effect.token)
                    self.newest_retry = effect.token if effect.token.startswith(RETRY) else self.newest_retry
                case Stuck():
                    self.excused.update(effect.clusters)
                case Acked():
                    self.hear_acceptance(effect)
                case Nacked():
                    self.hear_refusal(effect)
                case Quarantined() | Untried() | End():
                    pytest.fail("said by those who look after several streams")

    def hear_response(self, send: Send) -> None:
        assert send.nonce not in self.sent, "a nonce was used twice"
        assert send.type_url not in self.unanswered, "two unanswered responses"
        for each in send.resources:
            key = (send.type_url, each.name)
            assert self.refused.get(key) != each.version or self.accepted.get(key) == each.version, "refused content"
        names = [each.name for each in send.resources]
        assert len({*names, *send.removed}) == len(names) + len(send.removed), "a name twice in a response"  # R14
        self.sent[send.nonce] = send
        self.unanswered[send.type_url] = send.nonce
        self.envoy.inbox.append(send)

    def hear_acceptance(self, acked: Acked) -> None:
        """Only another change of listeners may have made room for one that was refused."""
        gone = [self.accepted.pop((acked.type_url, name), None) for name in acked.removed]
        news = {(acked.type_url, each.name): each.version for each in acked.resources}
        if acked.type_url == LDS and acked.nonce and (any(gone) or not news.items() <= self.accepted.items()):
            self.listeners_are_tried_again()
        self.accepted.update(news)

    def hear_refusal(self, nacked: Nacked) -> None:
        one = len(self.sent[nacked.nonce].resources) < 2
        may_be_unsubscribed = nacked.type_url in (EDS, RDS)
        assert nacked.names or not one or may_be_unsubscribed, "a refusal without a culprit"
        for name, version in nacked.refused.items():
            if self.version(nacked.type_url, name) == version:
                self.refused[nacked.type_url, name] = version

    def newly_wanted(self, request: SotwRequest | DeltaRequest) -> set[str]:
        if isinstance(request, DeltaRequest):
            return set(request.subscribe)
        before = self.wanted.get(request.type_url, set())
        self.wanted[request.type_url] = set(request.names)
        return set(request.names) - before

    def version(self, kind: str, name: str) -> str:
        found = self.world.of(TypeUrl(kind)).get(name)
        return found.version if found else "absent"

    def dangling(self) -> set[str]:
        """Clusters that routes name and that are not held."""
        named = {name for item in self.envoy.held[RDS].values() for name in item.references}
        return named - self.envoy.held[CDS].keys()

    def check_quiet(self) -> None:
        """A quiet client holds exactly the world, but for what it refused and for what waits because of that."""
        for kind in (CDS, EDS) if self.refused else TypeUrl:
            wanted = self.envoy.names(kind) if kind in (EDS, RDS) else {*self.world.of(kind).keys()}
            expected = {name: self.version(kind, name) for name in wanted}
            held = {name: item.version for name, item in self.envoy.held[kind].items()}
            if not self.refused:
                assert held == expected
            for name, version in expected.items():
                # What is gone stays while routes that were refused keep older ones in use.
                assert held.get(name) == version or (kind, name) in self.refused or version == "absent"


class SotwConversation(Conversation):
    @override
    def connection(self, name: str) -> Stream[Any]:
        return SotwStream(name=name, pace=RESTING)

    @override
    def client(self) -> FakeEnvoy:
        return SotwEnvoy()


class DeltaConversation(Conversation):
    @override
    def connection(self, name: str) -> Stream[Any]:
        return DeltaStream(chunk=8, name=name, pace=RESTING)  # two or three resources

    @override
    def client(self) -> FakeEnvoy:
        return DeltaEnvoy()


@pytest.mark.parametrize("conversation", [SotwConversation, DeltaConversation])
def test_laws(conversation: type[Conversation]) -> None:
    run_state_machine_as_test(
        conversation,
        settings=settings(
            max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


FIRST: dict[str, Any] = {"sotw": SotwRequest(CDS, node=NODE), "delta": DeltaRequest(CDS, node=NODE)}


def stream(mode: str) -> Stream[Any]:
    return SotwStream() if mode == "sotw" else DeltaStream()


@pytest.mark.parametrize("mode", FIRST)
def test_the_first_request_must_say_who_asks(mode: str) -> None:  # R2
    with pytest.raises(PeerMisbehaved, match="must carry a node"):
        stream(mode).receive(FIRST[mode]._replace(node=None))


@pytest.mark.parametrize("mode", FIRST)
def test_later_requests_need_not_say_who_asks(mode: str) -> None:  # R2, B: streams closed on node-less requests
    asked = stream(mode)
    asked.receive(FIRST[mode])
    assert asked.receive(FIRST[mode]._replace(node=None, type_url=LDS)) == []
    assert asked.node == NODE


@pytest.mark.parametrize("mode", FIRST)
def test_nobody_becomes_somebody_else(mode: str) -> None:  # R2
    asked = stream(mode)
    asked.receive(FIRST[mode])
    with pytest.raises(PeerMisbehaved, match="envoy-1 now claims to be of another: envoy-2"):
        asked.receive(FIRST[mode]._replace(node=Node("envoy-2")))


@pytest.mark.parametrize("mode", FIRST)
def test_a_request_must_have_a_type(mode: str) -> None:  # R3
    with pytest.raises(PeerMisbehaved, match="type_url"):
        stream(mode).receive(FIRST[mode]._replace(type_url=""))


def test_nonces_are_of_the_stream_and_answers_of_their_type() -> None:  # R4, B: one "last nonce" for all types
    asked = stream("delta")
    asked.publish(snapshot_of({CDS: [written("a", "1")], LDS: [written("l", "1")]}))
    asked.receive(FIRST["delta"]._replace(type_url=RUNTIME, node=NODE))
    [clusters, *_] = asked.receive(FIRST["delta"])
    [listeners, *_] = asked.receive(DeltaRequest(LDS, ("k",)))
    assert isinstance(clusters, Send)
    assert isinstance(listeners, Send)
    assert asked.receive(DeltaRequest(CDS, nonce=listeners.nonce)) == []
    [accepted, *_] = asked.receive(DeltaRequest(CDS, nonce=clusters.nonce))
    assert isinstance(accepted, Acked)


def test_an_answer_to_an_earlier_stream_is_no_answer() -> None:  # R5, B: Envoy #15767, #30155
    first, second = SotwStream(name="first-"), SotwStream(name="second-")
    nonces = []
    for asked in (first, second):
        asked.publish(snapshot_of({CDS: [written("a", "1")]}))
        [send] = asked.receive(FIRST["sotw"])
        assert isinstance(send, Send)
        nonces.append(send.nonce)
    assert second.receive(SotwRequest(CDS, nonce=nonces[0])) == []
    [accepted] = second.receive(SotwRequest(CDS, nonce=nonces[1]))
    assert isinstance(accepted, Acked)


def test_a_change_costs_what_it_is_not_what_there_is() -> None:  # publish looks at the names that changed, alone
    looked_at: list[str] = []

    class Watched(Resource):
        @override
        def __getattribute__(self, name: str) -> Any:
            if name == "version":
                looked_at.append(object.__getattribute__(self, "name"))
            return object.__getattribute__(self, name)

    def world(version: str, after: Snapshot | None) -> Snapshot:
        names = [f"c{number}" for number in range(100)]
        return snapshot_of({CDS: [Watched(name, version if name == "c7" else "1", b"") for name in names]}, after)

    asked = stream("delta")
    first = world("1", None)
    asked.publish(first)
    [send, *_] = asked.receive(FIRST["delta"])
    assert isinstance(send, Send)
    asked.receive(DeltaRequest(CDS, nonce=send.nonce))
    second = world("2", first)
    looked_at.clear()
    asked.publish(second)
    assert set(looked_at) == {"c7"}


CLUSTERS = [
    written("a", "2").for_envoys((1, 39), written("a", "1")),
    written("b", "1").for_envoys((1, 37)),
    written("c", "1"),
]


@pytest.mark.parametrize("mode", FIRST)
@pytest.mark.parametrize("early", [False, True], ids=["world-first", "client-first"])
@pytest.mark.parametrize(
    ("version", "told"),
    [("1.40.0", "a2 b1 c1"), ("1.38.3", "a1 b1 c1"), ("1.36.4", "a1 c1"), ("", "a1 c1")],
)
def test_a_proxy_is_told_what_its_version_knows_whole(mode: str, early: bool, version: str, told: str) -> None:
    asked, world = stream(mode), snapshot_of({CDS: CLUSTERS})
    world = replace(world, newer={CDS: frozenset("ab")}, newest=(1, 39))
    first = FIRST[mode]._replace(node=replace(NODE, version=version))

    effects = [] if early else asked.publish(world)
    effects += asked.receive(first)
    effects += asked.publish(world) if early else []

    [send] = effects
    assert isinstance(send, Send)
    assert " ".join(f"{each.name}{each.version}" for each in send.resources) == told
