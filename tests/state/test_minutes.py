from array import array
from pathlib import Path

from xds_server.domain.names import Ref
from xds_server.domain.statistics import BUCKETS
from xds_server.state.store import Store
from xds_server.telemetry.minutes import Told, Where

DEFAULT, EARLY = (Where(Ref("prod", "shop-v1"), rule) for rule in ("default", "early"))


def told(requests: int) -> Told:
    return Told(requests, 1, array("q", range(len(BUCKETS))))


def test_minutes_are_there_after_a_restart_as_they_were_written_last(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        kept = store.counted.minutes
        assert kept.load() == {}
        kept.keep(7, [(DEFAULT, told(5)), (EARLY, told(6))])
        kept.keep(8, [(DEFAULT, told(7))])
        kept.keep(8, [(DEFAULT, told(9))])

    with Store.open(tmp_path) as store:
        kept = store.counted.minutes
        assert kept.load() == {7: {DEFAULT: told(5), EARLY: told(6)}, 8: {DEFAULT: told(9)}}
        kept.forget([7, 99])
        assert kept.load() == {8: {DEFAULT: told(9)}}
