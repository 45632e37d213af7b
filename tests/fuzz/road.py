"""The road from a file's bytes to what Envoys are sent and operators are shown. Nothing may be raised on it."""

import json
from datetime import UTC, datetime

from xds_server.cli.reports import builds_data, problems_data, rendered
from xds_server.pipeline import Compilation, compile_world
from xds_server.records.admission import admit, restore
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def admitted(text: str) -> Admission:
    """What a new server takes of one file."""
    return admit(Admission(), Batch({"fuzz.yaml": Readable(text)}, complete=True), NOON, folder="records")


def travelled(admission: Admission) -> Compilation:
    """Compile, encode, print, save and restore."""
    compilation = compile_world(admission.world)
    for parts in compilation.gateways.values():
        json.dumps(rendered(parts.snapshot))
    json.dumps([problems_data(admission.problems), builds_data(admission.world)]).encode()
    "".join(map(str, admission.problems)).encode()
    restored = restore(admission.upserts, NOON)
    assert set(restored.in_force) == set(admission.in_force), "what was saved is what is restored"
    return compilation
