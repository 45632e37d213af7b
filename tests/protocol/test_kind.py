"""Several proxies of one kind: laws that hold for whatever they do, and the stories of the first of them."""

from dataclasses import dataclass, field
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

from tests.protocol.dialogue import NODE
from tests.protocol.fake_envoy import SLOW, DeltaEnvoy, FakeEnvoy, SotwEnvoy, written
from tests.protocol.test_stream import ENDPOINTS_OF, Content
from tests.protocol.worlds import CDS, EDS, LDS, RDS, snapshot_of
from xds_server.domain.versions import OLDEST
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import Send, Stuck, Wake
from xds_server.protocol.kind import LIMIT, STEP, Kind, Member, Told
from xds_server.protocol.plan import INTRODUCTION
from xds_server.protocol.sotw import SotwStream
from xds_server.protocol.stream import Stream
from xds_server.snapshot import Resource, Snapshot, TypeUrl

BAD = "bad"
"""How the version of a content begins that every client refuses."""
TAKEN = "taken"
"""How the version of a listener begins whose address is taken at some clients."""

Subject = tuple[str, str, str]


@dataclass(eq=False)
class Proxy:
    """A model of Envoy, and its stream. `busy`: it refuses listeners whose address is taken."""

    envoy: FakeEnvoy
    member: Member
    busy: bool
    timers: list[str] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)


@st.composite
def contents(draw: st.DrawFn, versions: str = "1 2 bad", listeners: str = "1 2 bad taken") -> Content:
    """A consistent world. Some of its contents are refused by every client."""
    some = st.sampled_from(versions.split())
    clusters = draw(st.dictionaries(st.sampled_from([*ENDPOINTS_OF]), some, min_size=1))
    opened = draw(st.dictionaries(st.sampled_from("lm"), st.sampled_from(listeners.split()), min_size=1))
    targets = st.lists(st.sampled_from(sorted(clusters)), unique=True)
    routes = {name: (draw(some), sorted(draw(targets))) for name in opened}
    endpoints = draw(st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")))
    needs = {name: (*ENDPOINTS_OF[name],) for name in clusters}
    return {
        CDS: tuple(written(name, version, needs[name], needs[name]) for name, version in clusters.items()),
        EDS: tuple(written(name, version) for name, version in endpoints.items()),
        LDS: tuple(written(name, version, [name], [name]) for name, version in opened.items()),
        RDS: tuple(written(name, "+".join([version, *named]), named) for name, (version, named) in routes.items()),
    }


GOOD = contents("1 2", "1 2")


class Proxies(RuleBasedStateMachine):
    """Proxies of one kind, each of which answers when it likes; they come and go, and worlds are offered in between."""

    @initialize(content=GOOD, count=st.integers(1, 4), data=st.data())
    def begin(self, content: Content, count: int, data: st.DataObject) -> None:
        self.kind = Kind(OLDEST)
        self.now = 0.0
        self.dialled = 0
        self.world = snapshot_of(content)
        self.proxies: dict[Member, Proxy] = {}
        self.sent_to: dict[Subject, set[Member]] = {}
        self.excused: set[Subject] = set()
        self.hear(self.kind.offer(self.world, self.now))
        for _ in range(count):
            self.connects(data.draw(st.booleans()), data.draw(st.booleans()))
        self.deliver()

    @rule(sotw=st.booleans(), busy=st.booleans())
    @precondition(lambda self: len(self.proxies) < 5)
    def connects(self, sotw: bool, busy: bool) -> None:
        self.dialled += 1
        stream: Stream[Any] = SotwStream(name=f"{self.dialled}-") if sotw else DeltaStream(name=f"{self.dialled}-")
        stream.node = NODE
        member, told = self.kind.join(stream, self.now)
        proxy = Proxy(SotwEnvoy() if sotw else DeltaEnvoy(), member, busy)
        self.proxies[member] = proxy
        proxy.envoy.connect(remembers=False)
        self.hear(told)

    @rule(data=st.data())
    @precondition(lambda self: len(self.proxies) > 1)
    def disconnects(self, data: st.DataObject) -> None:
        proxy = self.any_of(data, list(self.proxies.values()))
        del self.proxies[proxy.member]
        self.excused |= self.on_trial()
        self.hear(self.kind.leave(proxy.member, self.now))

    @rule(content=contents(), follows=st.booleans())
    def offer(self, content: Content, follows: bool) -> None:
        before, self.world = self.world, snapshot_of(content, self.world if follows else None)
        if not follows:
            self.world = Snapshot(self.world.resources, serial=before.serial + 1000)
        here = self.contents(self.world)
        for subject in self.sent_to.keys() - here:
            del self.sent_to[subject]
        self.excused &= here
        self.hear(self.kind.offer(self.world, self.now))

    @rule(data=st.data())
    @precondition(lambda self: any(proxy.envoy.outbox for proxy in self.proxies.values()))
    def server_reads(self, data: st.DataObject) -> None:
        self.read(self.any_of(data, [proxy for proxy in self.proxies.values() if proxy.envoy.outbox]))

    @rule(data=st.data())
    @precondition(lambda self: any(proxy.envoy.inbox for proxy in self.proxies.values()))
    def client_answers(self, data: st.DataObject) -> None:
        self.answer(self.any_of(data, [proxy for proxy in self.proxies.values() if proxy.envoy.inbox]))

    @rule(seconds=st.sampled_from([0.001, STEP / 2, STEP, LIMIT]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        while self.kind.wake_at is not None and self.kind.wake_at <= self.now:
            self.excused |= self.on_trial()
            self.hear(self.kind.wake(self.now))

    @rule(data=st.data())
    @precondition(lambda self: any(proxy.timers for proxy in self.proxies.values()))
    def a_stream_is_woken(self, data: st.DataObject) -> None:
        self.wake(self.any_of(data, [proxy for proxy in self.proxies.values() if proxy.timers]))

    @rule()
    def all_is_delivered(self) -> None:
        """Nobody is silent: everybody holds what is settled, and that is the newest world as far as it is sound."""
        self.deliver()
        for proxy in list(self.proxies.values()):
            while INTRODUCTION in proxy.timers:
                proxy.timers.remove(INTRODUCTION)
                self.hear(self.kind.elapsed(proxy.member, INTRODUCTION, self.now))
                self.deliver()
        while self.kind.wake_at is not None:
            # A refused cluster that is settled may keep routes from being tried, and who was to try some may not want
            # them any more: the clock ends that.
            self.time_passes(LIMIT)
            self.deliver()
        settled = self.kind.settled
        assert settled is not None
        if not any(is_unsound(version) for _, _, version in self.contents(self.world)):
            assert self.contents(settled) == self.contents(self.world)
        for kind in (CDS, EDS):
            for name, resource in self.world.of(kind).items():
                assert resource == settled.of(kind).get(name) or is_unsound(resource.version), "a sound one waits"
        for proxy in self.proxies.values():
            self.check_quiet(proxy, settled)

    @invariant()
    def no_route_names_a_cluster_that_is_not_held(self) -> None:
        for proxy in self.proxies.values():
            held = proxy.envoy.held
            named = {name for item in held[RDS].values() for name in item.references}
            assert named - held[CDS].keys() <= proxy.excused

    @invariant()
    def what_everybody_refuses_is_sent_to_one(self) -> None:
        for subject, members in self.sent_to.items():
            assert len(members) <= (2 if TAKEN in subject[2] else 1) or subject in self.excused, subject

    def check_quiet(self, proxy: Proxy, settled: Snapshot) -> None:
        for kind in (CDS, EDS, LDS, RDS):
            expected = {name: resource.version for name, resource in settled.of(kind).items()}
            held = {name: item.version for name, item in proxy.envoy.held[kind].items() if item.version != "absent"}
            wanted = proxy.envoy.names(kind) if kind in (EDS, RDS) else expected.keys() | held.keys()
            for name in wanted:
                # What everybody was told because time was over may be refused by each, and hold back its routes.
                version, has = expected.get(name), held.get(name)
                if (kind, name) in proxy.member.tries or (version is None and self.on_trial()):
                    continue  # what is gone stays while a listener that is refused keeps older routes in use
                assert has == version or self.is_spoilt(settled)

    def is_spoilt(self, settled: Snapshot | None) -> bool:
        """A content that clients refuse is settled: time was over, or nobody wanted it."""
        assert settled is not None
        return any(is_unsound(version) for _, _, version in self.contents(settled))

    def on_trial(self) -> set[Subject]:
        return {subject for subject in self.contents(self.world) if is_unsound(subject[2])}

    @staticmethod
    def contents(snapshot: Snapshot) -> set[Subject]:
        return {(kind, name, each.version) for kind in (CDS, EDS, LDS, RDS) for name, each in snapshot.of(kind).items()}

    def any_of(self, data: st.DataObject, proxies: list[Proxy]) -> Proxy:
        return proxies[data.draw(st.integers(0, len(proxies) - 1))]

    def read(self, proxy: Proxy) -> None:
        self.hear(self.kind.receive(proxy.member, proxy.envoy.outbox.popleft(), self.now))

    def answer(self, proxy: Proxy) -> None:
        told = proxy.envoy.peek()
        held = proxy.envoy.held[told.type_url]
        for item in told.items:
            taken = item.version.startswith(TAKEN) and proxy.busy and held.get(item.name) != item
            if item.version.startswith(BAD) or taken:
                why = "cannot bind: Address already in use" if taken else "it is bad"
                return proxy.envoy.refuse(item.name, f"{item.name}: {why}", in_part=False)
        return proxy.envoy.accept()

    def wake(self, proxy: Proxy) -> None:
        token = proxy.timers.pop(0)
        if token == INTRODUCTION:
            self.deliver()
        if proxy.member in self.proxies:
            self.hear(self.kind.elapsed(proxy.member, token, self.now))

    def deliver(self) -> None:
        for _ in range(3000):
            self.no_route_names_a_cluster_that_is_not_held()
            if not any(self.moves(proxy) for proxy in list(self.proxies.values())):
                return
        pytest.fail("the conversation does not end")

    def moves(self, proxy: Proxy) -> bool:
        envoy = proxy.envoy
        if envoy.outbox:
            self.read(proxy)
        elif envoy.inbox:
            self.answer(proxy)
        elif envoy.draining or SLOW in envoy.warming:
            envoy.drain()
            envoy.resolve()
        elif envoy.warming:
            envoy.give_up()
        else:
            return False
        return True

    def hear(self, told: Told) -> None:
        for member, effects in told.items():
            for effect in effects if member in self.proxies else ():
                match effect:
                    case Send():
                        self.proxies[member].envoy.inbox.append(effect)
                        for each in effect.resources:
                            self.hear_of(member, effect.type_url, each)
                    case Wake():
                        self.proxies[member].timers.append(effect.token)
                    case Stuck():
                        self.proxies[member].excused.update(effect.clusters)
                    case _:
                        pass

    def hear_of(self, member: Member, type_url: str, resource: Resource) -> None:
        if is_unsound(resource.version):
            self.sent_to.setdefault((type_url, resource.name, resource.version), set()).add(member)
            settled = self.kind.settled
            assert settled is not None
            if settled.of(TypeUrl(type_url)).get(resource.name) == resource:
                # Nobody wanted it when it was settled, or nobody answered in time.
                self.excused.add((type_url, resource.name, resource.version))
        else:
            assert resource.version != BAD


def is_unsound(version: str) -> bool:
    return version.startswith((BAD, TAKEN))


def test_laws() -> None:
    run_state_machine_as_test(
        Proxies,
        settings=settings(
            max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
