from datetime import UTC, datetime
from pathlib import Path

from xds_server.resources.extensions import Slot
from xds_server.state.extended import extended_in, extended_key, extended_row
from xds_server.state.store import Store

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHARED = Slot("type.googleapis.com/envoy.config.cluster.v3.Cluster", "", "shop-v1/web")
OWN = Slot("type.googleapis.com/envoy.config.listener.v3.Listener", "prod.edge", "prod.edge/http")


def test_what_was_made_is_there_again_after_a_restart(tmp_path: Path):
    with Store.open(tmp_path) as store:
        store.save([extended_row(SHARED, b"\xff\x00", NOON), extended_row(OWN, b"own", NOON)], ())
    with Store.open(tmp_path) as store:
        assert extended_in(store.load()) == {SHARED: b"\xff\x00", OWN: b"own"}

        store.save((), [extended_key(OWN)])
        assert extended_in(store.load()) == {SHARED: b"\xff\x00"}
