"""Laws that hold whatever the order in which records are written, broken, moved, deleted and read again."""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.records.folder import NOON, Content, Server, build, deployment, documents, gateway, record, release
from xds_server.domain.names import Ref
from xds_server.records.activation import pending_key
from xds_server.records.admitted import Admission
from xds_server.records.claims import claims_of
from xds_server.records.documents import Key
from xds_server.records.models import Gateway, Release
from xds_server.records.reading import Unreadable
from xds_server.records.saved import KEPT
from xds_server.records.world import AppWorld, World, app_of

HOSTS = st.lists(st.sampled_from(["x.test", "y.test", "z.test", "v1.p.test"]), min_size=1, max_size=2, unique=True)
AUDIENCES = st.lists(
    st.sampled_from(
        [
            {"name": "a", "hosts": ["a.test"], "deployment": "v2", "until": (NOON + timedelta(seconds=90)).isoformat()},
            {"name": "b", "hosts": ["z.test"], "deployment": "v1"},
        ]
    ),
    max_size=1,
)
GOOD = st.one_of(
    st.builds(gateway, st.sampled_from(["edge", "inner"]), st.sampled_from(["", "", ".p.test"])),
    st.builds(
        lambda name, hash_, protocol, drained: build(
            name, hash_, protocol=protocol, **({"endpoints": {"addresses": []}} if drained else {})
        ),
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from(["b1", "b1", "b2"]),
        st.sampled_from(["http1", "http1", "http2"]),
        st.sampled_from([False, False, True]),
    ),
    st.builds(
        lambda name, hash_, version, app: deployment(name, hash_, version=version, app=app),
        st.sampled_from(["v1", "v2", "v3"]),
        st.sampled_from(["b1", "b2"]),
        st.sampled_from(["1.0", None]),
        st.sampled_from(["shop", "shop", "shop", "cart"]),
    ),
    st.builds(
        lambda name, hosts, to, gateways, audiences, deadline: release(
            name, *hosts, to=to, gateways=gateways, audiences=audiences, policy={"activationDeadline": deadline}
        ),
        st.sampled_from(["one", "two", "three"]),
        HOSTS,
        st.sampled_from(["v1", "v1", "v2", "v3"]),
        st.sampled_from([["edge"], ["edge"], ["inner"], ["edge", "inner"]]),
        AUDIENCES,
        st.sampled_from(["20s", "5m"]),
    ),
    st.builds(lambda drain: record("App", "shop", {"drain": drain}), st.sampled_from(["1s", "2s"])),
)
BROKEN = st.sampled_from(
    [
        release("one", "x.test", sticky={}),
        deployment("v1", calls=[]),
        build("one", "b 1"),
        gateway("edge").replace("listeners", "listener"),
        record("Realease", "two", {}),
        record("App", "Shop", {}),
        "[a, list]\n",
    ]
)
Texts = list[str]


def key_of(text: str) -> tuple[str, str]:
    said = json.loads(text)
    return said["kind"], said["metadata"]["name"]


def one_of_each(texts: Iterable[str]) -> Texts:
    """No record is written twice."""
    return list({key_of(text): text for text in texts}.values())


RECORDS = st.lists(GOOD, max_size=14).map(one_of_each)


def contents(admission: Admission) -> dict[Key, str]:
    return {key: entry.content for key, entry in admission.in_force.items()}


@st.composite
def laid_out(draw: st.DrawFn, texts: Texts) -> dict[str, Content]:
    """These records, in any order, in any number of files."""
    files: dict[str, Texts] = {}
    for text in draw(st.permutations(texts)):
        files.setdefault(draw(st.sampled_from(["a.yaml", "b.yaml", "c.yaml"])), []).append(text)
    return {name: documents(*each) for name, each in files.items()}


@given(st.data(), RECORDS)
def test_order_and_files_never_matter(data: st.DataObject, texts: Texts) -> None:
    one, other = (Server(data.draw(laid_out(texts))) for _ in range(2))

    assert contents(one.admission) == contents(other.admission)
    assert one.admission.claims == other.admission.claims
    assert {*one.admission.held} == {*other.admission.held}


@given(RECORDS, BROKEN)
def test_a_broken_record_never_changes_what_others_say(texts: Texts, broken: str) -> None:
    mine = key_of(broken) if broken.startswith("{") else None
    others = [text for text in texts if key_of(text) != mine]

    with_it = Server({"a.yaml": documents(*others), "b.yaml": broken})
    without = Server({"a.yaml": documents(*others)})
    assert contents(with_it.admission) == contents(without.admission)

    whole = Server(
        {"a.yaml": documents(*others), "b.yaml": documents(*(text for text in texts if key_of(text) == mine))}
    )
    before = contents(whole.admission)
    whole.hears({"b.yaml": broken})
    assert contents(whole.admission) == before


@st.composite
def steps(draw: st.DrawFn) -> list[dict[str, Content]]:
    """A folder that grows and changes: each step is a batch of files."""
    found: list[dict[str, Content]] = []
    for _ in range(draw(st.integers(1, 4))):
        texts = draw(st.lists(GOOD, max_size=6).map(one_of_each))
        found.append({f"{kind}-{name}.yaml": text for text in texts for kind, name in [key_of(text)]})
    return found


@given(steps())
def test_step_by_step_is_as_at_once_when_nothing_is_held_back(batches: list[dict[str, Content]]) -> None:
    server = Server({})
    files: dict[str, Content] = {}
    for batch in batches:
        server.hears(batch)
        files |= batch
        assume(not server.admission.held)
    at_once = Server(files)
    assume(not at_once.admission.held)

    assert contents(server.admission) == contents(at_once.admission)
    assert server.admission.claims == at_once.admission.claims


def said(admission: Admission) -> list[tuple[str, str, str]]:
    """The problems, without their places: where a record was that is gone is not remembered over a restart."""
    return sorted((each.record, each.reason, each.what) for each in admission.problems)


class Folder(RuleBasedStateMachine):
    """Anything may happen to a folder. What is in force stays whole, and a restart changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.files: dict[str, Content] = {}
        self.before = self.server.admission

    @initialize(texts=RECORDS)
    def starts(self, texts: Texts) -> None:
        self.files = {"a.yaml": documents(*texts)} if texts else {}
        self.server.reads(self.files)

    def hears(self, batch: Mapping[str, Content]) -> None:
        self.before = self.server.admission
        self.files = {name: each for name, each in {**self.files, **batch}.items() if each is not None}
        self.server.hears(batch)

    @rule(name=st.sampled_from("abc"), texts=st.lists(GOOD | BROKEN, max_size=6))
    def writes(self, name: str, texts: Texts) -> None:
        self.hears({f"{name}.yaml": documents(*texts)})

    @rule(text=GOOD)
    def adds(self, text: str) -> None:
        kind, name = key_of(text)
        self.hears({f"{kind}-{name}.yaml": text})

    @rule(name=st.sampled_from("abc"))
    def deletes(self, name: str) -> None:
        self.hears({f"{name}.yaml": None})

    @rule(name=st.sampled_from("abc"), broken=st.sampled_from(["a: [", Unreadable("cannot be opened")]))
    def breaks(self, name: str, broken: Content) -> None:
        self.hears({f"{name}.yaml": broken})

    @rule(one=st.sampled_from("abc"), other=st.sampled_from("abc"))
    def renames(self, one: str, other: str) -> None:
        self.hears({f"{one}.yaml": self.files.get(f"{other}.yaml"), f"{other}.yaml": self.files.get(f"{one}.yaml")})

    @rule(seconds=st.integers(0, 60))
    def waits(self, seconds: int) -> None:
        self.before = self.server.admission
        self.server.waits(timedelta(seconds=seconds))

    @rule()
    def cannot_be_read(self) -> None:
        self.before = self.server.admission
        self.server.cannot_read("is away")

    @rule()
    def is_read_again(self) -> None:
        self.before = self.server.admission
        self.server.reads(self.files)
        if not self.before.source:
            assert self.server.admission.world.apps == self.before.world.apps
            assert not self.server.admission.touched

    @precondition(lambda self: not (self.server.admission.source or self.server.admission.opaque))
    @rule()
    def restarts(self) -> None:
        was = self.server.admission
        self.server.restarts()
        self.before = self.server.admission
        assert contents(self.before) == contents(was)
        assert self.before.claims == was.claims

        self.server.reads(self.files)
        after = self.server.admission
        assert not after.touched
        assert all(entry is self.before.in_force[key] for key, entry in after.in_force.items())
        assert said(after) == said(was)

    @invariant()
    def what_is_to_be_saved_is_the_difference(self) -> None:
        after = self.server.admission
        old, new = self.before.in_force, after.in_force
        assert after is self.before or {Key(row.kind, Ref(row.namespace, row.name)) for row in after.upserts} == {
            key for key, entry in new.items() if old.get(key) is not entry
        }
        assert after is self.before or {*after.deletes} == {key for key in old if key not in new}
        waiting = {pending_key(ref) for ref in after.pending}
        kept = {Key(KEPT, release) for release in after.kept}
        assert {Key(kind, Ref(*who)) for kind, *who in self.server.rows} == {*new, *waiting, *kept}

    @invariant()
    def apps_that_do_not_differ_are_the_same_objects(self) -> None:
        old, new = self.before.world.apps, self.server.admission.world.apps
        for app in {*old, *new} - self.server.admission.touched:
            assert old.get(app) is new.get(app)

    @invariant()
    def the_world_is_what_is_in_force(self) -> None:
        world = self.server.admission.world
        records = [entry.record for entry in self.server.admission.in_force.values()]
        assert dict(world.gateways) == {each.ref: each for each in records if isinstance(each, Gateway)}
        assert {each for app in world.apps.values() for each in members(app)} == {
            Key(each.kind, each.ref) for each in records if not isinstance(each, Gateway)
        }
        assert all(app_of(each) == app.app for app in world.apps.values() for each in app.releases.values())

    @invariant()
    def what_is_in_force_holds_together(self) -> None:
        admission = self.server.admission
        releases = [each for app in admission.world.apps.values() for each in app.releases.values()]
        claims = [(claim, each.ref) for each in releases for claim in claims_of(each)]
        assert dict(claims) == dict(admission.claims)
        assert len(claims) == len(dict(claims))
        for each in releases:
            assert_whole(each, admission.world)
        for app in admission.world.apps.values():
            assert_agreed(app)

    @invariant()
    def what_history_can_go_back_to_is_in_force(self) -> None:
        admission = self.server.admission
        releases = {ref: app for app in admission.world.apps.values() for ref in app.releases}
        for ref, kept in admission.kept.items():
            assert set(kept) <= set(releases[ref].deployments)

    @invariant()
    def nothing_is_remembered_of_what_is_nowhere(self) -> None:
        admission = self.server.admission
        assert {*admission.origins} <= {*admission.wanted, *admission.in_force}
        assert admission.unread == frozenset() or admission.source
        assert {key for keys in admission.keys.values() for key in keys} == {*admission.wanted}

    @invariant()
    def what_is_wrong_with_files_is_said(self) -> None:
        admission = self.server.admission
        assert dict(admission.faults) == {name: file.faults for name, file in admission.files.items() if file.faults}
        assert admission.has_problems_of(self.before) <= (admission.problems == self.before.problems)

    @invariant()
    def what_is_held_back_is_said(self) -> None:
        admission = self.server.admission
        for key, problems in admission.held.items():
            assert problems or admission.opaque or any(each.problems for each in admission.wanted.get(key, ()))


def members(app: AppWorld) -> set[Key]:
    of_maps = {
        Key(kind, ref)
        for kind, refs in (("Build", app.builds), ("AppDeployment", app.deployments), ("Release", app.releases))
        for ref in refs
    }
    return of_maps | ({Key("App", app.settings.ref)} if app.settings else set())


def assert_whole(release: Release, world: World) -> None:
    """A release in force never names what is not in force."""
    app = world.app(release.refer(release.spec.app))
    assert all(release.refer(name) in world.gateways for name in release.spec.gateways)
    assert all(release.refer(name) in app.deployments for name in release.spec.deployments)


def assert_agreed(app: AppWorld) -> None:
    """All records of a build have one protocol."""
    said = {(each.spec.component, each.spec.build, each.spec.protocol) for each in app.builds.values()}
    assert len(said) == len({each[:2] for each in said})


Folder.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestFolder = Folder.TestCase
