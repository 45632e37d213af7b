"""What sidecars could be told: by nothing but what is in force, whatever was there before."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from tests.certificates import self_signed
from tests.conftest import Golden
from tests.records import order
from tests.records.folder import NOON, SHOP, Content, Server, build, gateway, record
from tests.records.order import FILES, ORDER, V1, V2, V3, build_of, order_release, placed, version
from tests.resources.edge import manager
from tests.test_pipeline import SAMPLE, admitted, file_of, files_of, written
from xds_server.cli.reports import rendered
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.sidecars import Ports, Sidecar
from xds_server.mesh import NO_MESH, Mesh, compile_mesh
from xds_server.messages.since import news
from xds_server.pipeline import EMPTY, compile_world
from xds_server.records.world import NO_DEPLOYMENTS
from xds_server.snapshot import NOTHING, Resources, Snapshot, TypeUrl

PORTS = Ports(application=8080)
KINDS = {
    word: Sidecar(build_of(word), PORTS) for word in ("worker@w1", "api@a1", "api@a2", "ui@u1", "ui@u2", "review@r1")
}
WORKER, A1, A2, R1 = (KINDS[word] for word in ("worker@w1", "api@a1", "api@a2", "review@r1"))


class Meshed:
    """A server with sidecars: the mesh as it becomes, turn by turn."""

    def __init__(self, *kinds: Sidecar, files: dict[str, Content] | None = None) -> None:
        self.server = Server(FILES if files is None else files, allow_empty=True)
        self.kinds = kinds
        self.mesh = NO_MESH
        self._compiled(by_app(kinds))

    def hears(self, **edits: Content) -> Mesh:
        self.server.hears({f"{name}.yaml": text for name, text in edits.items()})
        return self._compiled(self.server.admission.touched)

    def are(self, *kinds: Sidecar) -> Mesh:
        before, self.kinds = by_app(self.kinds), kinds
        after = by_app(kinds)
        return self._compiled({app for app in {*before, *after} if before.get(app) != after.get(app)})

    def _compiled(self, apps: Iterable[Ref]) -> Mesh:
        kinds = by_app(self.kinds)
        wanted = {app: kinds.get(app, frozenset()) for app in apps if app in kinds or app in self.mesh.sidecars}
        self.mesh = compile_mesh(self.server.admission.world, self._secrets(), self.mesh, wanted)
        return self.mesh

    def _secrets(self) -> Resources:
        return NOTHING


def by_app(kinds: Iterable[Sidecar]) -> dict[Ref, frozenset[Sidecar]]:
    found = list(kinds)
    return {
        app: frozenset(each for each in found if each.build.app == app) for app in {each.build.app for each in found}
    }


def said(mesh: Mesh) -> dict[Sidecar, Any]:
    """Every byte that any sidecar could be told."""
    return {
        kind: {t: {name: (r.version, r.needs, r.body) for name, r in snapshot.of(t).items()} for t in TypeUrl}
        for kind, snapshot in mesh.snapshots.items()
    }


def test_compile_sidecar(golden: Golden) -> None:
    """Of the shop in `manifests`, beside the build of cart that one of its deployments has."""
    kind = Sidecar(BuildId(Ref("default", "shop"), "cart", "77aa01bc"), PORTS)
    mesh = compile_mesh(admitted(files_of(SAMPLE)).world, NOTHING, NO_MESH, by_app([kind]))

    for type_url, resources in rendered(mesh.snapshots[kind]).items():
        if resources:
            golden.check(file_of(type_url), written(resources))


def test_compile_access_logs(golden: Golden) -> None:
    """What the sidecar beside a build of an app says of each request, where the app wants it said."""
    meshed = Meshed(A1, files={**FILES, "app.yaml": record("App", "order", {"accessLog": {"otlp": "otel.test:4317"}})})
    listeners = rendered(meshed.mesh.snapshots[A1])[TypeUrl.LISTENER]

    for name, found in zip(("inbound", "outbound"), listeners, strict=True):
        golden.check(f"{name}.yaml", written(manager(found)["access_log"]))


def test_the_oldest_supported_envoy_knows_all_of_it() -> None:
    for snapshot in Meshed(*KINDS.values()).mesh.snapshots.values():
        for kind in TypeUrl:
            for resource in snapshot.of(kind).values():
                assert news(kind, resource.body) == ()


# --- what it costs: nothing where nothing is concerned


def test_nobody_who_is_not_connected_is_compiled_for() -> None:
    mesh = Meshed(WORKER).mesh

    assert set(mesh.snapshots) == {WORKER}
    assert Meshed().mesh is NO_MESH


def test_a_turn_that_touches_no_app_of_theirs_changes_nothing() -> None:
    meshed = Meshed(WORKER, A1)
    before = meshed.mesh

    assert meshed.hears(**{name.removesuffix(".yaml"): text for name, text in SHOP.items()}) is before
    assert meshed.hears(edge=gateway(template=".p.test")) is before


def test_what_is_said_again_changes_nothing() -> None:
    meshed = Meshed(WORKER)
    before = meshed.mesh.snapshots[WORKER]

    assert meshed._compiled([ORDER]).snapshots[WORKER] is before


def test_endpoints_leave_routes_clusters_and_listeners_as_they_are() -> None:
    meshed = Meshed(WORKER, A1)
    before = meshed.mesh
    after = meshed.hears(**{"api-a1": placed("api", "a1", "10.0.9.9:8080")})

    assert after.parts[WORKER] is before.parts[WORKER]
    assert difference(before.snapshots[WORKER], after.snapshots[WORKER]) == {TypeUrl.ENDPOINTS: {"order/api@a1"}}


def test_endpoints_of_what_it_does_not_call_are_no_news_to_a_sidecar() -> None:
    meshed = Meshed(A1, A2, files={**FILES, "v1.yaml": version("v1", V1, api=["worker"])})
    before = meshed.mesh

    assert meshed.hears(**{"ui-u1": placed("ui", "u1", "10.0.9.9:8080")}).snapshots[A1] is before.snapshots[A1]


def test_a_release_changes_the_routes_of_builds_that_are_shared_and_nothing_else() -> None:
    meshed = Meshed(WORKER, A1)
    before = meshed.mesh
    after = meshed.hears(release=order_release(v3=100))

    assert {kind for kind, names in after.snapshots[WORKER].changed.items() if names} == {TypeUrl.ROUTES}
    assert after.snapshots[A1] is before.snapshots[A1], "its calls have their owner's deployment"


def test_a_deployment_that_goes_is_the_oldest_no_more_although_sidecars_still_know_it() -> None:
    meshed = Meshed(WORKER, files={**FILES, "release.yaml": None})
    before, world = meshed.mesh, meshed.server.admission.world
    app = world.app(ORDER)
    going = replace(app, since=app.since.delete(Ref("default", "v1")))
    after = compile_mesh(replace(world, apps=world.apps.set(ORDER, going)), NOTHING, before, by_app([WORKER]))

    assert difference(before.snapshots[WORKER], after.snapshots[WORKER]) == {
        TypeUrl.ROUTES: {"order/worker@w1/outbound", "order/worker@w1/inbound"}
    }


def test_a_deployment_is_news_to_the_sidecars_of_its_builds_alone() -> None:
    meshed = Meshed(*KINDS.values(), files={**FILES, "v3.yaml": None})
    before = meshed.mesh
    after = meshed.hears(v3=version("v3", V3))

    told = {kind.word for kind in after.snapshots if after.snapshots[kind] is not before.snapshots[kind]}
    assert told == {"order/worker@w1", "order/api@a2", "order/ui@u2", "order/review@r1"}


def test_what_is_still_taken_is_news_to_those_beside_its_builds() -> None:
    meshed = Meshed(*KINDS.values(), files={**FILES, "v3.yaml": None})
    before, world = meshed.mesh, meshed.server.admission.world
    v3 = Ref("default", "v3")
    record = Server(FILES, allow_empty=True).admission.world.app(ORDER).deployments[v3]
    inbound = NO_DEPLOYMENTS.set(v3, record)
    taken = replace(world, apps=world.apps.set(ORDER, replace(world.app(ORDER), inbound=inbound)))
    after = compile_mesh(taken, NOTHING, before, by_app(KINDS.values()))
    changed = {kind.word: dict(after.snapshots[kind].changed) for kind in after.changed}

    assert changed.keys() == {"order/worker@w1", "order/api@a2", "order/ui@u2", "order/review@r1"}
    names = {name for each in changed.values() for names in each.values() for name in names}
    assert names == {f"{word}/inbound" for word in changed}
    again = compile_mesh(taken, NOTHING, after, by_app(KINDS.values()))
    assert again.changed == ()


def test_a_new_probe_is_told_to_the_build_that_has_it() -> None:
    meshed = Meshed(WORKER, A1)
    before = meshed.mesh
    after = meshed.hears(**{"api-a1": placed("api", "a1", "10.0.0.1:8080", probes=["/metrics"])})

    assert after.snapshots[A1].changed[TypeUrl.ROUTES] == {"order/api@a1/inbound"}
    assert after.parts[WORKER] is before.parts[WORKER]


# --- what files hold for TLS

ONE = self_signed("api", begins=NOON, lasts=timedelta(days=90))
TWO = self_signed("api", begins=NOON, lasts=timedelta(days=91))
TLS = {"serverName": "api", "ca": "ca.pem", "certificate": "own.pem", "privateKey": "own.key"}


class Encrypted(Meshed):
    """Both builds of api are spoken to by TLS, and so is one of another app."""

    def __init__(self, *kinds: Sidecar) -> None:
        self._compilation = EMPTY
        records = {
            "api-a1.yaml": placed("api", "a1", "10.0.0.1:8080", tls=TLS),
            "api-a2.yaml": placed("api", "a2", "10.0.0.2:8080", tls=TLS | {"ca": "other.pem"}),
            "shop.yaml": build("web-1", "9f1c2d7e", "10.0.7.1:80", tls={"serverName": "web", "ca": "shop.pem"}),
        }
        pems = {"ca.pem": ONE.certificate, "own.pem": ONE.certificate, "own.key": ONE.key}
        others = dict.fromkeys(("other.pem", "shop.pem"), ONE.certificate)
        super().__init__(*kinds, files={**FILES, **records, **pems, **others})

    def renewed(self, file: str) -> Mesh:
        self.server.hears({file: TWO.certificate})
        assert not self.server.admission.touched
        return self._compiled(())

    @override
    def _secrets(self) -> Resources:
        self._compilation = compile_world(self.server.admission.world, self._compilation)
        return self._compilation.secrets[None]


def test_a_sidecar_is_shown_the_secrets_of_whom_it_calls_and_no_others() -> None:
    shown = {kind: set(found.of(TypeUrl.SECRET)) for kind, found in Encrypted(WORKER, A1, R1).mesh.snapshots.items()}
    a1, a2 = ({f"build/api-{each}/{of}" for of in ("ca", "client")} for each in ("a1", "a2"))

    assert shown == {WORKER: a1 | a2, A1: a1, R1: a2}


def test_renewed_files_reach_the_sidecars_that_need_them_although_no_app_is_touched() -> None:
    meshed = Encrypted(WORKER, A1, R1)
    before = meshed.mesh.snapshots
    after = meshed.renewed("ca.pem").snapshots

    assert after[A1].changed[TypeUrl.SECRET] == {"build/api-a1/ca"}
    assert difference(before[WORKER], after[WORKER]) == {TypeUrl.SECRET: {"build/api-a1/ca"}}
    assert after[R1] is before[R1]


def test_renewed_files_of_another_app_are_no_news_to_anybody() -> None:
    meshed = Encrypted(WORKER, A1)
    before = meshed.mesh.snapshots

    assert all(before[kind] is snapshot for kind, snapshot in meshed.renewed("shop.pem").snapshots.items())


# --- who comes and goes


def test_who_connects_is_compiled_for_and_others_keep_what_they_have() -> None:
    meshed = Meshed(WORKER)
    before = meshed.mesh
    after = meshed.are(WORKER, A1)

    assert after.snapshots[WORKER] is before.snapshots[WORKER]
    assert set(after.snapshots) == {WORKER, A1}


def test_who_is_gone_is_forgotten() -> None:
    meshed = Meshed(WORKER, A1)

    assert set(meshed.are(A1).snapshots) == set(meshed.mesh.parts) == {A1}
    gone = meshed.are()
    assert [len(each) for each in (gone.apps, gone.sidecars, gone.parts, gone.snapshots)] == [0] * 4


def test_an_app_that_is_gone_leaves_its_sidecars_nobody_to_call() -> None:
    meshed = Meshed(WORKER)
    after = meshed.hears(**dict.fromkeys((name.removesuffix(".yaml") for name in FILES if name != "edge.yaml"), None))

    assert set(after.snapshots[WORKER].of(TypeUrl.CLUSTER)) == {"order/worker@w1/application"}


# --- laws


def difference(one: Snapshot, two: Snapshot) -> dict[TypeUrl, set[str]]:
    names = {t: {*one.of(t), *two.of(t)} for t in TypeUrl}
    found = {t: {name for name in names[t] if one.find(t, name) != two.find(t, name)} for t in TypeUrl}
    return {t: differing for t, differing in found.items() if differing}


EDITS = st.sampled_from(
    [
        {"v1": None},
        {"v2": None},
        {"v3": None},
        {"v1": version("v1", V1)},
        {"v2": version("v2", V2)},
        {"v3": version("v3", V3)},
        {"release": order_release(v1=100)},
        {"release": order_release(v1=50, v2=50)},
        {"release": order_release(v3=100)},
        {"two": order_release("two", v2=100)},
        {"two": None},
        {"app": order.settings("refuse")},
        {"app": order.settings({"release": "two"})},
        {"app": None},
        {"api-a1": placed("api", "a1", "10.0.9.9:80", probes=["/metrics"])},
        {"api-a2": placed("api", "a2", "10.0.9.9:80", protocol="grpc")},
        {"api-a2": None},
        {"worker-w1": placed("worker", "w1", "10.0.9.9:80", healthCheck={"path": "/healthz"})},
    ]
)
CONNECTED = st.sets(st.sampled_from(sorted(KINDS))).map(lambda words: [KINDS[word] for word in sorted(words)])


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40, deadline=None)
@given(CONNECTED, st.lists(EDITS | CONNECTED, max_size=6))
def test_what_is_there_is_what_would_be_made_from_scratch(
    connected: list[Sidecar], turns: list[dict[str, Content] | list[Sidecar]]
) -> None:
    meshed = Meshed(*connected)
    for turn in turns:
        before = meshed.mesh
        after = meshed.are(*turn) if isinstance(turn, list) else meshed.hears(**turn)
        fresh = compile_mesh(meshed.server.admission.world, NOTHING, NO_MESH, by_app(meshed.kinds))
        assert {*after.changed} >= {
            kind for kind in after.snapshots if after.snapshots[kind] is not before.snapshots.get(kind)
        }
        assert said(after) == said(fresh)
        for kind, snapshot in after.snapshots.items():
            was = before.snapshots.get(kind)
            if was is not None and was is not snapshot:
                assert snapshot.since == was.serial
                assert {t: names for t, names in snapshot.changed.items() if names} == difference(was, snapshot)


def test_the_order_of_records_changes_no_byte() -> None:
    expected = said(Meshed(*KINDS.values()).mesh)
    names = list(FILES)
    for seed in range(3):
        random.Random(seed).shuffle(names)
        assert said(Meshed(*KINDS.values(), files={name: FILES[name] for name in names}).mesh) == expected
