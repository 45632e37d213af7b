"""Several proxies of one kind: laws that hold for whatever they do, and the stories of the first of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

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
from immutables import Map
from typing_extensions import override

from tests.protocol.dialogue import NODE
from tests.protocol.fake_envoy import SLOW, DeltaEnvoy, FakeEnvoy, OnDemandEnvoy, SotwEnvoy, written
from tests.protocol.test_on_demand import host
from tests.protocol.test_stream import ENDPOINTS_OF, Content
from tests.protocol.worlds import CDS, EDS, LDS, RDS, VHDS, on_demand, resource, snapshot_of, world
from xds_server.domain.names import wildcards_over
from xds_server.domain.versions import OLDEST
from xds_server.protocol.canary import LIMIT, STEP
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import Acked, DeltaRequest, Effect, End, Nacked, Quarantined, Send, Stuck, Untried, Wake
from xds_server.protocol.kind import Kind, Told
from xds_server.protocol.members import Member
from xds_server.protocol.outlook import Outlook
from xds_server.protocol.plan import INTRODUCTION
from xds_server.protocol.retries import PREFIX as RETRY
from xds_server.protocol.sotw import SotwStream
from xds_server.protocol.stream import Stream
from xds_server.protocol.virtual_hosts import without_port
from xds_server.snapshot import Resource, Serving, Snapshot, TypeUrl

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
        self.start(snapshot_of(content))
        for _ in range(count):
            self.connects(data.draw(st.booleans()), data.draw(st.booleans()))
        self.deliver()

    def start(self, world: Snapshot) -> None:
        self.kind = Kind(OLDEST)
        self.now = 0.0
        self.dialled = 0
        self.world = world
        self.proxies: dict[Member, Proxy] = {}
        self.sent_to: dict[Subject, set[Member]] = {}
        self.excused: set[Subject] = set()
        self.accepted: set[Subject] = set()
        self.refused_by: dict[Subject, set[Member]] = {}
        self.hear(self.kind.offer(self.world, self.now))

    @rule(sotw=st.booleans(), busy=st.booleans())
    @precondition(lambda self: len(self.proxies) < 5)
    def connects(self, sotw: bool, busy: bool) -> None:
        self.dial(SotwEnvoy() if sotw else DeltaEnvoy(), busy=busy, remembers=False)

    def dial(self, envoy: FakeEnvoy, *, busy: bool, remembers: bool) -> Proxy:
        self.dialled += 1
        name = f"{self.dialled}-"
        stream: Stream[Any] = SotwStream(name=name) if isinstance(envoy, SotwEnvoy) else DeltaStream(name=name)
        stream.node = NODE
        member, told = self.kind.join(stream, self.now)
        proxy = self.proxies[member] = Proxy(envoy, member, busy)
        envoy.connect(remembers=remembers)
        self.hear(told)
        return proxy

    @rule(data=st.data())
    @precondition(lambda self: len(self.proxies) > 1)
    def disconnects(self, data: st.DataObject) -> None:
        self.hang_up(self.any_of(data, list(self.proxies.values())))

    def hang_up(self, proxy: Proxy) -> None:
        del self.proxies[proxy.member]
        self.excused |= self.on_trial()
        self.hear(self.kind.leave(proxy.member, self.now))

    @rule(content=contents(), follows=st.booleans())
    def offer(self, content: Content, follows: bool) -> None:
        self.proceed(content, follows)

    def proceed(self, content: Content, follows: bool) -> None:
        before, self.world = self.world, self.snapshot(content, self.world if follows else None)
        if not follows:
            self.world = replace(self.world, serial=before.serial + 1000)
        # What is offered anew is tried anew: nobody remembers how it went with it before.
        known = {*self.sent_to, *self.refused_by, *self.accepted}
        stays = {each for each in known if self.is_in(before, each) and self.is_in(self.world, each)}
        self.sent_to = {subject: some for subject, some in self.sent_to.items() if subject in stays}
        self.refused_by = {subject: some for subject, some in self.refused_by.items() if subject in stays}
        self.accepted &= stays
        self.excused = {subject for subject in self.excused if self.is_in(self.world, subject)}
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
            for name, each in self.world.of(kind).items():
                assert each == settled.of(kind).get(name) or is_unsound(each.version), "a sound one waits"
        for proxy in self.proxies.values():
            self.check_quiet(proxy, settled)

    @invariant()
    def no_route_names_a_cluster_that_is_not_held(self) -> None:
        for proxy in self.proxies.values():
            held = proxy.envoy.held
            named = {name for kind in (RDS, VHDS) for item in held[kind].values() for name in item.references}
            assert named - held[CDS].keys() <= proxy.excused

    @invariant()
    def what_everybody_refuses_is_sent_to_one(self) -> None:
        for subject, members in self.sent_to.items():
            assert len(members) <= (2 if TAKEN in subject[2] else 1) or subject in self.excused, subject

    @invariant()
    def who_refused_what_another_accepted_is_not_fit_to_try_anything(self) -> None:
        for subject in self.accepted & self.refused_by.keys():
            for member in self.refused_by[subject] & self.proxies.keys():
                assert member.bit & self.kind._members.unfit, subject

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
        return {(kind, name, each.version) for kind in TypeUrl for name, each in snapshot.of(kind).items()}

    def snapshot(self, content: Content, after: Snapshot | None) -> Snapshot:
        return snapshot_of(content, after)

    def is_in(self, world: Snapshot, subject: Subject) -> bool:
        kind, name, version = subject
        found = world.of(TypeUrl(kind)).get(name)
        return found is not None and found.version == version

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
                self.hear_verdict(member, effect)
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

    def hear_verdict(self, member: Member, effect: Effect) -> None:
        if isinstance(effect, Acked):
            for each in effect.resources:
                subject = (effect.type_url, each.name, each.version)
                self.refused_by.get(subject, set()).discard(member)
                if self.is_in(self.world, subject):  # of what is not offered any more nobody remembers who refused it
                    self.accepted.add(subject)
        elif isinstance(effect, Nacked):
            for refused in effect.refused.items():
                self.refused_by.setdefault((effect.type_url, *refused), set()).add(member)

    def hear_of(self, member: Member, type_url: str, resource: Resource) -> None:
        if is_unsound(resource.version):
            self.sent_to.setdefault((type_url, resource.name, resource.version), set()).add(member)
            settled = self.kind.settled
            assert settled is not None
            if self.is_in(settled, (type_url, resource.name, resource.version)):
                # Nobody wanted it when it was settled, or nobody answered in time.
                self.excused.add((type_url, resource.name, resource.version))
        else:
            assert resource.version != BAD


def is_unsound(version: str) -> bool:
    return version.startswith((BAD, TAKEN))


HOSTS = ["x.t", "y.t", "*.t", "d.p"]
REQUESTED = ["x.t", "y.t", "z.t", "d.p", "q.p", "n", "x.t:80", "*.t"]
HOST = ["", "", "1", "1a", "1ab", "2b", "2", "bad", "bada"]
"""Nothing, or a version and the first letters of the clusters that it names, if they exist."""


@st.composite
def hosts(draw: st.DrawFn, unsound: bool = True) -> Content:
    """A consistent world on demand. `*` and `*.p` refuse, and `c` is for every proxy."""
    some = "1 2 bad" if unsound else "1 2"
    clusters = draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from(some.split()), min_size=1))
    written_hosts = {name: draw(st.sampled_from(HOST if unsound else HOST[:-2])) for name in HOSTS}
    refusal = draw(st.sampled_from("12"))
    needs = {name: (*ENDPOINTS_OF[name],) for name in clusters}
    return {
        CDS: tuple(written(name, version, needs[name], needs[name]) for name, version in clusters.items()),
        EDS: tuple(written(name, "1") for name in draw(st.sets(st.sampled_from("xy")))),
        LDS: (written("l", draw(st.sampled_from(some.split())), ["e/l"], ["e/l"]),),
        RDS: (written("e/l", draw(st.sampled_from("1112"))),),
        VHDS: (
            *(
                host(f"e/l/{name}", each.rstrip("abc") if not each.startswith(BAD) else BAD, targets(each, clusters))
                for name, each in written_hosts.items()
                if each
            ),
            host("e/l/-", "1", ()),
            *(host(f"e/l/{wildcard}", refusal, (), refuses=True) for wildcard in ("*", "*.p")),
        ),
    }


def targets(host: str, clusters: Collection[str]) -> Sequence[str]:
    return [name for name in clusters if name in host.removeprefix(BAD)]


class OnDemandProxies(Proxies):
    """Clients that ask for hosts, lose their connections, and remember what they have."""

    @override
    @initialize(content=hosts(unsound=False), count=st.integers(1, 4))
    def begin(self, content: Content, count: int) -> None:
        self.start(self.snapshot(content, None))
        for _ in range(count):
            self.connects(sotw=False, busy=False)
        self.deliver()

    @override
    @rule(sotw=st.just(False), busy=st.just(False))
    @precondition(lambda self: len(self.proxies) < 5)
    def connects(self, sotw: bool, busy: bool) -> None:
        self.dial(OnDemandEnvoy(), busy=busy, remembers=False)

    @rule(data=st.data())
    def reconnects(self, data: st.DataObject) -> None:
        proxy = self.any_of(data, list(self.proxies.values()))
        self.hang_up(proxy)
        self.dial(proxy.envoy, busy=False, remembers=True).excused |= proxy.excused

    @override
    @rule(content=hosts(), follows=st.booleans())
    def offer(self, content: Content, follows: bool) -> None:
        self.proceed(content, follows)

    @rule(names=st.lists(st.sampled_from(REQUESTED), min_size=1, max_size=4), data=st.data())
    def client_needs_hosts(self, names: list[str], data: st.DataObject) -> None:
        envoy = self.any_of(data, list(self.proxies.values())).envoy
        assert isinstance(envoy, OnDemandEnvoy)
        for name in names if "e/l" in envoy.held[RDS] else ():
            envoy.ask(VHDS, f"e/l/{name}")

    @override
    def snapshot(self, content: Content, after: Snapshot | None) -> Snapshot:
        always = {VHDS: frozenset({"e/l/-"}), CDS: frozenset("c")}
        return replace(super().snapshot(content, after), on_demand=True, always=always)

    @override
    def on_trial(self) -> set[Subject]:
        """Also what wildcards make of the names that clients ask for."""
        asked = {f"e/l/{without_port(name)}" for name in REQUESTED}
        made = {(VHDS, name, found.version) for name in asked if (found := served(self.world, name)) is not None}
        return super().on_trial() | {subject for subject in made if is_unsound(subject[2])}

    @override
    def is_in(self, world: Snapshot, subject: Subject) -> bool:
        kind, name, version = subject
        found = served(world, name) if kind == VHDS else world.of(TypeUrl(kind)).get(name)
        return found is not None and found.version == version

    @override
    def check_quiet(self, proxy: Proxy, settled: Snapshot) -> None:
        """What is loaded is what is settled, and what was asked for and is there is loaded."""
        envoy, member = proxy.envoy, proxy.member
        assert isinstance(envoy, OnDemandEnvoy)
        if member.tries or self.is_spoilt(settled):
            return
        asked = {without_port(name) for name in envoy.asked[VHDS]}
        there = {name for name in asked if (found := world_has(settled, name)) is not None and not found.refuses}
        for name in {*envoy.held[VHDS], *(there if "e/l" in envoy.held[RDS] else ())}:
            content, held = served(settled, name), envoy.held[VHDS].get(name)
            assert content is not None
            assert held is not None, name
            assert held.version == content.version, name
        assert not {name for name in envoy.waiting if "e/l" in envoy.held[RDS]}


def world_has(world: Snapshot, name: str) -> Resource | None:
    found = world.of(VHDS)
    over = (name, *wildcards_over(name), "e/l/*")
    return None if "*" in name else next((found[each] for each in over if each in found), None)


def served(world: Snapshot, name: str) -> Resource | None:
    found = world_has(world, name)
    return found if found is None or found.exact is None else found.exact(name)


@pytest.mark.parametrize("machine", [Proxies, OnDemandProxies])
def test_laws(machine: type[Proxies]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# --- stories


def test_a_listener_is_tried_again_with_what_took_the_place_of_routes_that_were_refused() -> None:
    """It was accepted, and held back with its routes."""

    class Delta:
        def draw(self, _: object) -> bool:
            return False

    def world_of(listeners: str, routes: dict[str, str]) -> Content:
        opened = tuple(written(name, "1", [name], [name]) for name in listeners)
        return {CDS: (), EDS: (), LDS: opened, RDS: tuple(written(name, each) for name, each in routes.items())}

    machine = Proxies()
    machine.begin(content=world_of("l", {"l": "1"}), count=2, data=cast("st.DataObject", Delta()))
    machine.offer(content=world_of("lm", {"l": "1", "m": "bad"}), follows=False)
    machine.all_is_delivered()
    machine.offer(content=world_of("m", {"m": "1"}), follows=False)
    machine.all_is_delivered()


def test_what_is_offered_again_may_be_refused_by_one_again() -> None:
    """The first was sent it because it was settled while nobody wanted it: nothing is known of that any more."""

    def world_of(listener: str, clusters: str) -> Content:
        return {
            CDS: tuple(written(name, "1", ENDPOINTS_OF[name], ENDPOINTS_OF[name]) for name in clusters),
            LDS: (written("l", listener, ["e/l"], ["e/l"]),),
            RDS: (written("e/l", "1"),),
            VHDS: (host("e/l/-", "1", ()), host("e/l/*", "1", (), refuses=True)),
        }

    def returns() -> None:
        [proxy] = machine.proxies.values()
        machine.hang_up(proxy)
        machine.dial(proxy.envoy, busy=False, remembers=True)

    machine = OnDemandProxies()
    machine.begin(content=world_of("1", "a"), count=1)
    returns()
    machine.offer(content=world_of("bad", "a"), follows=False)
    machine.offer(content=world_of("1", "ac"), follows=False)
    machine.all_is_delivered()
    returns()
    machine.all_is_delivered()
    machine.offer(content=world_of("bad", "a"), follows=False)
    machine.what_everybody_refuses_is_sent_to_one()
    machine.all_is_delivered()


def test_who_refused_what_was_not_offered_any_more_may_try_it_when_it_is_offered_again() -> None:
    """It was sent it because it was settled, and refused it when something newer was."""

    def world_of(listener: str) -> Content:
        return {LDS: (written("l", listener, ["l"], ["l"]),), RDS: (written("l", "1"),)}

    machine = Proxies()
    machine.start(snapshot_of(world_of("1")))
    first = machine.dial(DeltaEnvoy(), busy=False, remembers=False)
    machine.deliver()
    machine.offer(content=world_of("taken"), follows=False)
    machine.time_passes(LIMIT)
    machine.offer(content=world_of("1"), follows=False)
    second = machine.dial(DeltaEnvoy(), busy=True, remembers=False)
    while second.envoy.outbox:
        machine.read(second)
    while machine.moves(first):
        pass
    machine.all_is_delivered()
    assert any(machine.refused_by.values())
    machine.offer(content=world_of("taken"), follows=False)
    machine.answer(first)
    machine.read(first)
    machine.who_refused_what_another_accepted_is_not_fit_to_try_anything()
    machine.all_is_delivered()


def test_a_host_on_trial_that_comes_to_need_a_cluster_that_another_tries_waits_for_it() -> None:  # R30
    def world_of(listener: str, clusters: str, *hosts_: Resource) -> Content:
        return {
            CDS: tuple(written(name, "1", ENDPOINTS_OF[name], ENDPOINTS_OF[name]) for name in clusters),
            LDS: (written("l", listener, ["e/l"], ["e/l"]),),
            RDS: (written("e/l", "1"),),
            VHDS: (*hosts_, host("e/l/-", "1", ()), host("e/l/*", "1", (), refuses=True)),
        }

    machine = OnDemandProxies()
    machine.begin(content=world_of("1", "a"), count=2)
    first = next(iter(machine.proxies.values()))
    machine.hang_up(first)
    cast("OnDemandEnvoy", first.envoy).ask(VHDS, "e/l/x.t")
    machine.dial(first.envoy, busy=False, remembers=True)
    machine.all_is_delivered()
    machine.offer(content=world_of("2", "ab", host("e/l/x.t", "1", ())), follows=False)
    machine.offer(content=world_of("1", "ab", host("e/l/x.t", "1", "ab")), follows=False)
    machine.all_is_delivered()


class Room:
    """Delta proxies of one kind that want everything, and answer when they are told to."""

    def __init__(self, count: int, first: Snapshot) -> None:
        self.now = 0.0
        self.kind = Kind(OLDEST)
        self.world = first
        self.log: list[Effect] = []
        self.inboxes: list[dict[str, Send]] = []
        self.members: list[Member] = []
        self.hear(self.kind.offer(first, self.now))
        for _ in range(count):
            self.joins()

    def joins(self, stream: DeltaStream | None = None) -> int:
        stream = stream or DeltaStream()
        stream.receive(DeltaRequest(CDS, node=NODE))
        stream.receive(DeltaRequest(LDS))
        stream.receive(DeltaRequest(RDS, ("r",)))
        member, told = self.kind.join(stream, self.now)
        self.members.append(member)
        self.inboxes.append({})
        number = len(self.members) - 1
        self.hear(told)
        while self.inboxes[number]:
            self.accepts(number)
        return number

    def offer(self, **contents: list[str]) -> None:
        """What differs from the world before: `clusters=["web=2"]`."""
        kinds = {"clusters": CDS, "endpoints": EDS, "listeners": LDS, "routes": RDS}
        maps = dict(self.world.resources)
        for name, written_ in contents.items():
            here = {each.name: each for each in map(resource, written_)}
            maps[kinds[name]] = Map({**maps.get(kinds[name], Map()), **here})
        changed = {kinds[name]: frozenset(resource(each).name for each in some) for name, some in contents.items()}
        self.world = Snapshot(maps, self.world.serial + 1, self.world.serial, changed)
        self.hear(self.kind.offer(self.world, self.now))

    def accepts(self, number: int) -> None:
        type_url, send = next(iter(self.inboxes[number].items()))
        del self.inboxes[number][type_url]
        self.hear(self.kind.receive(self.members[number], DeltaRequest(type_url, nonce=send.nonce), self.now))

    def refuses(self, number: int, why: str) -> None:
        type_url, send = next(iter(self.inboxes[number].items()))
        del self.inboxes[number][type_url]
        request = DeltaRequest(type_url, nonce=send.nonce, error=why)
        self.hear(self.kind.receive(self.members[number], request, self.now))

    def waits(self, seconds: float) -> None:
        self.now += seconds
        if self.kind.wake_at is not None and self.kind.wake_at <= self.now:
            self.hear(self.kind.wake(self.now))

    def leaves(self, number: int) -> None:
        self.inboxes[number].clear()
        self.hear(self.kind.leave(self.members[number], self.now))

    def has_mail(self) -> list[str]:
        """What lies before each: `web=2`."""
        return [
            " ".join(f"{each.name}={each.version}" for send in inbox.values() for each in send.resources)
            for inbox in self.inboxes
        ]

    def hear(self, told: Told) -> None:
        for member, effects in told.items():
            number = self.members.index(member) if member in self.members else -1
            for effect in effects:
                self.log.append(effect)
                if isinstance(effect, Send):
                    self.inboxes[number][effect.type_url] = effect


FIRST = world(["web", "cart"], listeners=["l>r"], routes=["r"])


def test_one_is_told_first_and_its_acceptance_tells_all() -> None:
    room = Room(3, FIRST)
    room.offer(clusters=["web=2"])
    assert room.has_mail() == ["web=2", "", ""]
    room.accepts(0)
    assert room.has_mail() == ["", "web=2", "web=2"]


def test_the_one_that_answered_fastest_is_first() -> None:
    room = Room(3, FIRST)
    room.offer(clusters=["web=2"])
    room.accepts(0)
    for number, seconds in ((2, 0.001), (1, 0.01)):
        room.waits(seconds)
        room.accepts(number)
    room.waits(0.01)
    room.offer(routes=["r=2"])
    room.waits(0.05)
    room.accepts(0)
    room.waits(0.001)
    room.accepts(1)
    room.accepts(2)
    room.offer(routes=["r=3"])
    assert room.has_mail() == ["", "r=3", ""]


class Failing(DeltaStream):
    """A stream that cannot follow the version of a cluster that it fails at."""

    @override
    def follow(self, outlook: Outlook) -> list[Effect]:
        assert outlook.snapshot is not None
        if outlook.snapshot.of(CDS)["web"].version == "2":
            raise ZeroDivisionError
        return super().follow(outlook)


@pytest.mark.parametrize("failing", [0, 1])
def test_a_stream_that_fails_ends_alone_and_keeps_nothing_from_the_others(failing: int) -> None:
    room = Room(0, FIRST)
    for number in range(3):
        room.joins(Failing() if number == failing else DeltaStream())
    room.offer(clusters=["web=2"])
    first = 0 if failing else 1
    assert room.has_mail()[first] == "web=2"
    room.accepts(first)
    assert room.has_mail() == ["" if number in (first, failing) else "web=2" for number in range(3)]

    [end] = [each for each in room.log if isinstance(each, End)]
    assert isinstance(end.error, ZeroDivisionError)
    room.leaves(failing)
    room.accepts(2)
    room.offer(clusters=["web=3"])
    room.accepts(room.has_mail().index("web=3"))
    assert sorted(room.has_mail()) == ["", "", "web=3"]
    assert room.kind.wake_at is None


def test_who_answers_at_once_never_makes_a_change_wait_for_time() -> None:
    room = Room(1, FIRST)
    for number in range(2, 9):
        room.offer(clusters=[f"web={number % 3}"], routes=[f"r={number % 2}"], listeners=[f"l={number % 4}>r"])
        while room.inboxes[0]:
            room.accepts(0)
        assert (room.kind.wake_at, room.kind.running) == (None, 0)
        assert room.kind.settled is not None
        assert room.kind.settled.of(RDS)["r"].version == str(number % 2)


def test_endpoints_are_told_at_once_whatever_is_on_trial() -> None:
    room = Room(2, FIRST)
    room.offer(clusters=["web=bad"], endpoints=["pods"])
    settled = room.kind.settled
    assert settled is not None
    assert "pods" in settled.of(EDS)
    assert settled.of(CDS)["web"].version == "1"


def test_a_refusal_stops_at_the_first_and_is_told_once() -> None:
    room = Room(3, FIRST)
    room.offer(clusters=["web=bad"])
    room.refuses(0, "web: bad")
    assert Quarantined(CDS, "web", "bad", "web: bad") in room.log
    assert room.kind.quarantined(CDS, "web", "bad")
    assert room.has_mail() == ["web=1", "", ""], "last good"
    room.accepts(0)
    room.waits(10)
    assert room.has_mail() == ["", "", ""]
    assert room.kind.wake_at is None

    late = room.joins()
    assert room.members[late].stream.has(CDS, resource("web=1"))
    room.offer(clusters=["web=2"])
    room.accepts(0)
    assert room.has_mail() == ["", "web=2", "web=2", "web=2"]


def test_everything_else_goes_on_beside_what_is_in_quarantine() -> None:
    room = Room(2, FIRST)
    room.offer(clusters=["web=bad"])
    room.refuses(0, "web: bad")
    room.accepts(0)
    room.offer(clusters=["cart=2"])
    room.accepts(0)
    assert room.has_mail() == ["", "cart=2"]


def test_routes_wait_for_their_clusters_and_are_held_back_with_them() -> None:
    room = Room(2, FIRST)
    room.offer(clusters=["new=bad"], routes=["r=new"])
    assert room.has_mail() == ["new=bad", ""]
    room.refuses(0, "new: bad")
    for _ in range(3):
        while room.inboxes[0]:
            room.accepts(0)
        room.waits(LIMIT)
    settled = room.kind.settled
    assert settled is not None
    assert settled.of(RDS)["r"].version == "1"
    assert room.members[0].stream.has(RDS, resource("r=1"))


def test_routes_stay_where_they_were_sent_if_a_cluster_is_refused_that_they_do_not_name() -> None:
    room = Room(2, FIRST)
    room.offer(clusters=["new"], routes=["r=2"])
    room.offer(clusters=["new=bad", "web=2"], routes=["r=bad"])
    assert room.has_mail() == ["new=1", "web=2"]
    room.accepts(0)
    room.refuses(0, "new: bad")
    assert room.has_mail() == ["r=bad new=1", "web=2"]
    while room.inboxes[1]:
        room.accepts(1)
    room.refuses(0, "r: bad")
    assert room.kind.quarantined(RDS, "r", "bad")
    assert room.has_mail()[1] == ""


def test_a_new_cluster_is_tried_by_who_tries_routes_that_may_name_it_though_it_goes_along_with_a_listener() -> None:
    room = Room(2, FIRST)
    room.offer(listeners=["l=2>r"], routes=["r=2"])
    room.offer(clusters=["new"], listeners=["m"], routes=["r=new"])
    for _ in range(3):
        room.accepts(0)
    assert room.has_mail()[0].endswith("r=new")
    assert room.members[0].stream.has(CDS, resource("new"))


def test_a_removed_cluster_stays_while_routes_that_may_name_it_are_not_settled() -> None:
    room = Room(2, FIRST)
    without = Snapshot(
        {**FIRST.resources, CDS: FIRST.of(CDS).delete("cart"), RDS: Map({"r": resource("r=2")})},
        serial=1,
        since=0,
        changed={CDS: frozenset(["cart"]), RDS: frozenset("r")},
    )
    room.hear(room.kind.offer(without, room.now))
    assert room.has_mail() == ["r=2", ""]
    assert room.kind.settled is not None
    assert "cart" in room.kind.settled.of(CDS)
    room.accepts(0)
    assert "cart" not in room.kind.settled.of(CDS)
    assert room.has_mail() == ["", "r=2"]


@pytest.mark.parametrize(("last_good", "stays"), [("r=cart", True), ("r=web", False)])
def test_what_is_held_back_keeps_only_what_its_last_good_names(last_good: str, *, stays: bool) -> None:
    room = Room(2, world(["web", "cart"], [], ["l"], [last_good]))
    room.offer(routes=["r=bad"])
    room.refuses(0, "r: bad")
    while room.inboxes[0]:
        room.accepts(0)
    before = room.world
    without = Snapshot(
        {**before.resources, CDS: before.of(CDS).delete("cart")},
        serial=before.serial + 1,
        since=before.serial,
        changed={CDS: frozenset(["cart"])},
    )
    room.hear(room.kind.offer(without, room.now))
    settled = room.kind.settled
    assert settled is not None
    assert ("cart" in settled.of(CDS)) == stays


def test_after_100_ms_of_silence_the_next_is_told_and_after_500_ms_everybody() -> None:
    room = Room(8, FIRST)
    room.offer(clusters=["web=2"])
    told = []
    for _ in range(5):
        told.append(sum(bool(mail) for mail in room.has_mail()))
        room.waits(STEP)
    assert told == [1, 2, 3, 4, 5]
    assert room.has_mail() == ["web=2"] * 8
    assert Untried(CDS, "web") in room.log


def test_of_who_is_alone_it_is_not_said_that_others_are_told() -> None:
    room = Room(1, FIRST)
    room.offer(clusters=["web=2"])
    for _ in range(5):
        room.waits(STEP)
    settled = room.kind.settled
    assert settled is not None
    assert settled.find(CDS, "web") == room.world.find(CDS, "web")
    assert not [each for each in room.log if isinstance(each, Untried)]


def test_whoever_of_several_accepts_first_settles_it_though_the_first_refuses() -> None:
    room = Room(4, FIRST)
    room.offer(clusters=["web=2"])
    room.waits(STEP)
    room.refuses(0, "web: not here")
    assert room.has_mail() == ["web=1", "web=2", "", ""], "last good there, and nobody more is told after a refusal"
    room.accepts(1)
    assert room.has_mail()[2:] == ["web=2", "web=2"]


def test_who_refused_what_another_accepts_is_first_no_more() -> None:
    room = Room(4, FIRST)
    room.offer(clusters=["web=2"])
    room.waits(STEP)
    room.refuses(0, "web: not here")
    room.accepts(1)
    for number in (0, 2, 3):
        while room.inboxes[number]:
            room.accepts(number)

    room.offer(clusters=["web=3"])
    assert room.has_mail()[0] == ""


def test_who_refuses_what_is_settled_is_first_no_more() -> None:
    room = Room(3, FIRST)
    room.offer(clusters=["web=2"])
    room.accepts(0)
    room.refuses(1, "web: not here")
    room.waits(1)
    room.accepts(2)
    room.members[0].pace, room.members[1].pace = 9.0, 0.0
    room.offer(clusters=["web=3"])
    assert room.has_mail()[1] == "", "though it is the fastest"


@pytest.mark.parametrize("accepts", [True, False])
def test_that_time_was_over_is_no_acceptance(*, accepts: bool) -> None:
    room = Room(2, FIRST)
    room.offer(clusters=["web=2"])
    for _ in range(5):
        room.waits(STEP)
    assert room.kind.settled is not None
    assert room.kind.settled.of(CDS)["web"].version == "2"
    room.refuses(0, "web: not here")
    if accepts:
        room.accepts(1)
    assert room.kind._members.unfit == (room.members[0].bit if accepts else 0)


def test_a_refusal_and_then_silence_is_a_quarantine() -> None:
    room = Room(4, FIRST)
    room.offer(clusters=["web=bad"])
    room.waits(STEP)
    room.refuses(0, "web: bad")
    room.waits(LIMIT)
    assert room.kind.quarantined(CDS, "web", "bad")
    assert room.has_mail()[2:] == ["", ""]


def test_if_the_first_leaves_another_is_told() -> None:
    room = Room(3, FIRST)
    room.offer(clusters=["web=2"])
    room.leaves(0)
    assert room.has_mail() == ["", "web=2", ""]


def test_if_the_first_does_not_want_it_any_more_another_is_told_at_once() -> None:
    room = Room(3, FIRST)
    room.offer(routes=["r=2"])
    assert room.has_mail() == ["r=2", "", ""]
    room.hear(room.kind.receive(room.members[0], DeltaRequest(RDS, unsubscribe=("r",)), room.now))
    assert room.has_mail()[1:] == ["r=2", ""]


def test_who_can_be_told_at_once_is_first() -> None:
    room = Room(2, FIRST)
    room.offer(clusters=["web=2"])
    assert room.has_mail() == ["web=2", ""]
    room.offer(clusters=["cart=2"])
    assert room.has_mail() == ["web=2", "cart=2"], "not who has yet to answer about clusters"


def test_a_newer_content_takes_the_place_of_one_on_trial_and_what_was_accepted_is_told_all() -> None:
    room = Room(2, FIRST)
    room.offer(routes=["r=2"])
    room.offer(routes=["r=3"])
    assert room.has_mail() == ["r=2", ""]
    room.accepts(0)
    assert room.has_mail() == ["r=3", "r=2"], "changes in quick succession starve nobody"
    room.accepts(0)
    room.accepts(1)
    assert room.has_mail() == ["", "r=3"]


PORT_IN_USE = "Error adding/updating listener(s) l: cannot bind '127.0.0.1:80': Address already in use"


def test_a_port_in_use_is_put_to_one_second_member() -> None:
    room = Room(4, FIRST)
    room.offer(listeners=["l=2>r"])
    room.refuses(0, PORT_IN_USE)
    assert room.has_mail()[:4] == ["", "l=2", "", ""]
    room.accepts(1)
    assert room.has_mail() == ["", "", "l=2", "l=2"]
    for number in (2, 3):
        room.accepts(number)

    room.offer(clusters=["web=2"])
    assert room.has_mail()[0] == "", "who refused what others accept is not first again"


def test_a_port_in_use_at_two_is_held_back_and_settles_when_it_is_free() -> None:
    room = Room(4, FIRST)
    room.offer(listeners=["l=2>r"])
    room.refuses(0, PORT_IN_USE)
    room.refuses(1, PORT_IN_USE)
    assert room.has_mail() == ["", "", "", ""]
    assert room.kind.quarantined(LDS, "l", "2")

    [*_, again] = [effect for effect in room.log if isinstance(effect, Wake) and effect.token.startswith(RETRY)]
    room.hear(room.kind.elapsed(room.members[0], again.token, room.now))
    room.accepts(0)
    assert room.has_mail()[2:] == ["l=2", "l=2"]


def test_only_who_wants_what_changed_is_told() -> None:
    room = Room(2, FIRST)
    other = DeltaStream()
    other.receive(DeltaRequest(RDS, ("another",), node=NODE))
    member, _ = room.kind.join(other, 0.0)
    room.offer(routes=["r=2"])
    seen: list[Member] = []
    for number in (0, 1):
        type_url, send = next(iter(room.inboxes[number].items()))
        told = room.kind.receive(room.members[number], DeltaRequest(type_url, nonce=send.nonce), 0.0)
        room.hear(told)
        seen += told
    assert set(seen) == set(room.members)
    assert member not in seen


def test_a_stream_that_is_gone_leaves_no_trace_in_the_indexes() -> None:
    room = Room(3, FIRST)
    for number in range(3):
        room.leaves(number)
    for index in room.kind._members.indexes.values():
        assert (index.everything, index.names(-1)) == (0, [])


def test_a_host_that_everybody_gets_is_tried_though_its_cluster_was_on_trial_before_it() -> None:
    def there(clusters: list[str], hosts: list[str], after: Snapshot | None = None) -> Snapshot:
        made = on_demand(clusters, [], hosts, after=after)
        return replace(made, always={**made.always, VHDS: Serving(made.of(VHDS))})

    def sent(told: Told) -> list[Send]:
        return [effect for effect in told.get(member, ()) if isinstance(effect, Send)]

    def accept(send: Send) -> list[Send]:
        return sent(kind.receive(member, DeltaRequest(send.type_url, nonce=send.nonce), 0.0))

    kind, stream, first = Kind(OLDEST), DeltaStream(), there([], [])
    stream.receive(DeltaRequest(CDS, node=NODE))
    stream.receive(DeltaRequest(RDS, ("e/h",)))
    stream.receive(DeltaRequest(VHDS))
    kind.offer(first, 0.0)
    member, told = kind.join(stream, 0.0)
    inbox = sent(told)
    while inbox:
        inbox += accept(inbox.pop(0))
    deployed = there(["a"], ["v1>a"], after=first)
    [cluster] = sent(kind.offer(deployed, 0.0))
    assert sent(kind.offer(there(["a"], ["v1>a", "shop>a"], after=deployed), 0.0)) == []

    [hosts] = accept(cluster)
    assert [each.name for each in hosts.resources] == ["e/h/shop", "e/h/v1"]


def test_an_answer_about_what_a_wildcard_made_settles_nothing_under_the_exact_name() -> None:
    kind, stream = Kind(OLDEST), DeltaStream()
    stream.receive(DeltaRequest(CDS, node=NODE))
    stream.receive(DeltaRequest(RDS, ("e/h",)))
    stream.receive(DeltaRequest(VHDS, ("e/h/a.test",)))
    first = on_demand(hosts=["*.test"])
    kind.offer(first, 0.0)
    member, told = kind.join(stream, 0.0)
    inbox = [each for each in told[member] if isinstance(each, Send)]
    while inbox[0].type_url != VHDS:
        send = inbox.pop(0)
        heard = kind.receive(member, DeltaRequest(send.type_url, nonce=send.nonce), 0.0)[member]
        inbox += [each for each in heard if isinstance(each, Send)]
    [made] = [each for each in inbox[0].resources if each.name == "e/h/a.test"]
    kind.offer(on_demand(hosts=["*.test", "a.test=2"], after=first), 0.0)
    kind.receive(member, DeltaRequest(VHDS, nonce=inbox[0].nonce), 0.0)

    assert kind.settled is not None
    assert kind.settled.of(VHDS).get("e/h/a.test") != made


class Loaded:
    """Proxies on demand that all have a host loaded. They refuse what is `bad`, and the `choosy` one what is `odd`.

    While it is `silent` what they are sent is `kept`.
    """

    def __init__(self, count: int, choosy: int = -1) -> None:
        self.choosy = choosy
        self.silent = False
        self.kept: list[tuple[Member, Send]] = []
        self.kind = Kind(OLDEST)
        self.world = on_demand(["a"], [], ["x>a", "-"])
        self.log: list[Effect] = []
        self.sent: list[list[str]] = []
        self.members: list[Member] = []
        self.hear(self.kind.offer(self.world, 0.0))
        for _ in range(count):
            stream = DeltaStream()
            for asked in (DeltaRequest(CDS, node=NODE), DeltaRequest(RDS, ("e/h",)), DeltaRequest(VHDS, ("e/h/x",))):
                stream.receive(asked)
            member, told = self.kind.join(stream, 0.0)
            self.members.append(member)
            self.sent.append([])
            self.hear(told)

    def offer(self, clusters: list[str], hosts: list[str]) -> None:
        self.world = on_demand(clusters, [], hosts, after=self.world)
        self.hear(self.kind.offer(self.world, 0.0))

    def asks(self, number: int, cluster: str) -> None:
        self.hear(self.kind.receive(self.members[number], DeltaRequest(CDS, (cluster,)), 0.0))

    def hear(self, told: Told) -> None:
        for member, effects in told.items():
            self.log += effects
            for effect in effects:
                if isinstance(effect, Send):
                    self.answer(member, effect)

    def answer(self, member: Member, send: Send) -> None:
        if self.silent:
            self.kept.append((member, send))
            return
        number = self.members.index(member)
        self.sent[number] += [f"{each.name}={each.version}" for each in send.resources]
        refused = [BAD, "odd"] if number == self.choosy else [BAD]
        why = ", ".join(f"{each.name} is bad" for each in send.resources if each.version in refused) or None
        self.hear(self.kind.receive(member, DeltaRequest(send.type_url, nonce=send.nonce, error=why), 0.0))

    def told(self, content: str) -> list[int]:
        """Who was sent it."""
        return [number for number, sent in enumerate(self.sent) if content in sent]

    def quarantined(self) -> list[Quarantined]:
        return [each for each in self.log if isinstance(each, Quarantined)]

    def holds(self, host: str) -> list[bool]:
        found = self.world.of(VHDS)[host]
        return [member.stream.has(VHDS, found) for member in self.members]


def test_a_cluster_that_was_there_before_anybody_needed_it_is_refused_by_one_and_its_host_held_back() -> None:
    room = Loaded(3)
    room.offer(["a", "b=bad"], ["x>a", "-"])
    assert room.told("b=bad") == []
    room.offer(["a", "b=bad"], ["x=2>b", "-"])
    assert len(room.told("b=bad")) == 1
    assert room.holds("e/h/x") == [False] * 3
    assert [each.name for each in room.quarantined()] == ["e/h/x"]
    assert room.kind.quarantined(CDS, "b", "bad"), "it stays a problem when who refused it is gone"

    room.offer(["a", "b"], ["x=2>b", "-"])
    assert not room.kind.quarantined(CDS, "b", "bad")
    assert room.holds("e/h/x") == [True] * 3, "the cluster was mended"


def test_who_has_refused_a_cluster_before_it_was_needed_refuses_what_needs_it_at_once() -> None:
    room = Loaded(1)
    room.offer(["a", "b=bad"], ["x>a", "-"])
    room.asks(0, "b")
    room.offer(["a", "b=bad"], ["x=2>b", "-"])
    version = room.world.of(VHDS)["e/h/x"].version
    assert room.kind.quarantined(VHDS, "e/h/x", version)
    assert room.quarantined() == [Quarantined(VHDS, "e/h/x", version, "b is bad")], "it is told, and why"
    assert room.kind.running == 0
    room.offer(["a", "b=bad"], ["x=3>a", "-"])
    assert room.holds("e/h/x") == [True]


def test_what_lacks_two_clusters_is_not_tried_again_before_both_are_mended() -> None:
    room = Loaded(2)
    room.offer(["a", "b=bad", "c=bad"], ["x>a", "-"])
    room.offer(["a", "b=bad", "c=bad"], ["x=2>b c", "-"])
    [first] = room.told("c=bad")
    room.hear(room.kind.leave(room.members[first], 0.0))
    room.offer(["a", "b", "c=bad"], ["x=2>b c", "-"])
    assert room.told("c=bad") == [first], "no other hears of what is bad still"
    assert room.kind.quarantined(VHDS, "e/h/x", room.world.of(VHDS)["e/h/x"].version)
    room.offer(["a", "b", "c"], ["x=2>b c", "-"])
    assert room.holds("e/h/x")[1 - first]


def test_a_host_that_is_refused_itself_is_not_helped_by_a_cluster_that_is_mended() -> None:
    room = Loaded(2, choosy=0)
    room.members[1].pace = 10.0
    room.offer(["a", "b=odd"], ["x>a", "-"])
    room.silent = True
    room.offer(["a", "b=odd"], ["x=bad>b", "-"])
    room.hear(room.kind.wake(STEP))
    room.silent = False
    for member, send in room.kept:
        room.answer(member, send)
    assert room.told("b=odd") == [0, 1]
    assert [each.reason for each in room.quarantined()] == ["e/h/x is bad"]
    before = list(map(len, room.sent))
    room.offer(["a", "b"], ["x=bad>b", "-"])
    new = [each for sent, known in zip(room.sent, before, strict=True) for each in sent[known:]]
    assert "e/h/x=bad" not in new
    assert len(room.quarantined()) == 1


def test_a_cluster_that_another_has_is_not_to_blame() -> None:
    room = Loaded(2, choosy=1)
    room.offer(["a", "b=odd"], ["x>a", "-"])
    room.asks(0, "b")
    room.members[0].pace = 10.0
    room.offer(["a", "b=odd"], ["x=2>b", "-"])
    assert room.told("b=odd") == [0, 1]
    assert not room.kind.quarantined(CDS, "b", "odd")
    room.hear(room.kind.wake(STEP))
    assert room.holds("e/h/x") == [True, False]
