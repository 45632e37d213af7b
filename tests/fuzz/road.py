"""The road from a file's bytes to what Envoys are sent and operators are shown. Nothing may be raised on it."""

import json
from datetime import UTC, datetime

from pydantic import TypeAdapter

from tests.certificates import self_signed
from xds_server.api.difference_data import difference_data
from xds_server.cli.reports import builds_data, problems_data, rendered
from xds_server.difference.comparison import Served, difference
from xds_server.domain.sidecars import Ports, Sidecar
from xds_server.graph import distil
from xds_server.mesh import NO_MESH, compile_mesh
from xds_server.pipeline import EMPTY, Compilation, compile_world
from xds_server.records.admission import admit, restore
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable
from xds_server.traffic.calling import decide_call
from xds_server.traffic.decide import decide
from xds_server.traffic.decisions import Decision
from xds_server.traffic.requests import read_request

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PEM = self_signed("shop.test", begins=datetime(2026, 11, 1, tzinfo=UTC))
CERTIFICATE, KEY = "edge.pem", "edge.key"
"""The files that secrets may name: any other is missing."""
FILES = {CERTIFICATE: Readable(PEM.certificate), KEY: Readable(PEM.key)}
DECISION = TypeAdapter(Decision)
QUERY = "/a%2f?v=v0&%76=%ff&x=%F0%9F&;==&&explicit-deployment=v1"
LINES = ("cookie: a=b; ;=; x=\x80", "x-v: v0", "x-v: v1", "baggage: ,xds.deployment=v1;,=", "x-a: ")


def admitted(text: str) -> Admission:
    """What a new server takes of one file."""
    batch = Batch({"fuzz.yaml": Readable(text), **FILES}, complete=True)
    return admit(Admission(), batch, NOON, folder="records")


def travelled(admission: Admission) -> Compilation:
    """Compile, encode, print, compare, explain, save and restore."""
    compilation = compile_world(admission.world)
    for parts in compilation.gateways.values():
        json.dumps(rendered(parts.snapshot))
    json.dumps([problems_data(admission.problems), builds_data(admission.world)]).encode()
    "".join(map(str, admission.problems)).encode()
    _mesh(admission, compilation)
    found = difference(Served(Admission(), EMPTY), Served(admission, compilation))
    json.dumps(difference_data(found)).encode()
    _explain(admission)
    restored = restore(admission.upserts, NOON)
    assert set(restored.in_force) == set(admission.in_force), "what was saved is what is restored"
    return compilation


def _explain(admission: Admission) -> None:
    hosts = sorted({claim.host.replace("*", "any") for claim in admission.claims} | {"nobody.test"})
    for gateway in admission.world.gateways.values():
        for host in hosts[:5]:
            request = read_request("GET", f"http://{host}{QUERY}", LINES)
            DECISION.dump_json(decide(admission.world, gateway, gateway.spec.listeners[0], request))


def _mesh(admission: Admission, compilation: Compilation) -> None:
    """A sidecar beside every build: what it is told, and what a call gets."""
    world = admission.world
    builds = [build for app in world.apps.values() for build in distil(app.deployments.values())]
    kinds = [Sidecar(build, Ports(application=8080)) for build in builds]
    wanted = {app: frozenset(each for each in kinds if each.build.app == app) for app in world.apps}
    mesh = compile_mesh(world, compilation.secrets[None], NO_MESH, wanted)
    for kind in kinds:
        json.dumps(rendered(mesh.snapshots[kind]))
        request = read_request("GET", f"http://{kind.build.component}{QUERY}", LINES)
        DECISION.dump_json(decide_call(world, kind.build, request))
