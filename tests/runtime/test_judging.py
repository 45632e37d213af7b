from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.telemetry.exports import RULE, exported, flush_of
from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.runtime.judging import Judging
from xds_server.runtime.telemetry import Telemetry
from xds_server.state.store import Store
from xds_server.stats import Counts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
V1, V2, V3 = (Ref("default", f"shop-v{number}") for number in (1, 2, 3))
ERROR = Series(V1, "web", "default", "5xx")


def counters(uptime: int) -> dict[str, int]:
    """Errors of v1, of v2 and of v3 differ."""
    said = {RULE.format(f"v{number}", "5xx"): uptime * number for number in (1, 2, 3)}
    return said | {RULE.format(f"v{number}", "2xx"): uptime * 100 for number in (1, 2, 3)}


def hear(telemetry: Telemetry, uptime: int) -> None:
    flush = flush_of(telemetry.totals.names, exported(counters(uptime), uptime))
    telemetry.flushes.hear(telemetry.totals.fold("edge-1", flush, uptime))


async def test_each_flush_is_told_once_it_is_written_down_and_once(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        telemetry = Telemetry(store.counted)
        judging = Judging(telemetry)
        for uptime in (1, 2, 3):
            hear(telemetry, uptime)
        assert judging.flushes() == []
        await telemetry.settle()
        assert [each.of(V1).get(ERROR) for each in judging.flushes()] == [1, 1]
        assert judging.flushes() == []


async def test_the_past_is_stables_or_that_of_all_but_the_canary(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        time = NOON
        telemetry = Telemetry(store.counted, clock=lambda: time)
        for uptime in (1, 2):
            hear(telemetry, uptime)
        await telemetry.settle()
        time += timedelta(minutes=1)
        await telemetry.settle()
        past = Judging(telemetry).past(V3, [V1, V2, V3])
        assert past("default", V1, 0) == [Counts(101, 1)]
        assert past("default", None, 0) == [Counts(203, 3)]
        assert past("early", None, 0) == []
        assert past("default", V1, 250) == []
