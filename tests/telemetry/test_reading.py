import pytest

from tests.telemetry.exports import RULE, START, exported, flush_of
from xds_server.domain.names import Ref
from xds_server.domain.statistics import EDGES
from xds_server.messages.metrics import Malformed, export, metrics
from xds_server.telemetry import Names, Reading

WEB = RULE.format("v1", "2xx")
V1 = Ref("default", "shop-v1")


def test_a_flush_says_which_process_sent_it_and_when() -> None:
    flush = flush_of(Names(), exported({WEB: 7}, 10))

    assert (flush.start, flush.exact, flush.time) == (START * 10**6, True, (START + 10) * 10**6)
    assert list(flush.totals.values()) == [7]


def test_the_start_may_come_in_nanoseconds_one_day() -> None:
    encoded = exported({WEB: 7}, 10, start=START)
    nanoseconds = encoded.replace((START * 10**6).to_bytes(8, "little"), (START * 10**9).to_bytes(8, "little"))

    assert flush_of(Names(), nanoseconds).start == START * 10**6


@pytest.mark.parametrize("counters", [{WEB: 7}, {}], ids=["1.36", "nothing-counted-yet"])
def test_without_a_start_it_is_known_by_its_uptime(counters: dict[str, int]) -> None:
    flush = flush_of(Names(), exported(counters, 10, oldest=True))

    assert (flush.start, flush.exact) == (START * 10**6, False)


def test_what_has_no_uptime_is_of_no_known_process() -> None:
    assert Reading(Names()).flush() is None


def test_members_are_told_by_component() -> None:
    gauges = {"cluster.shop-v1/web.membership_healthy": 2, "cluster.shop-v1/web.membership_total": 3}

    assert flush_of(Names(), exported({}, gauges=gauges)).gauges == {(V1, "web"): (2, 3)}


def test_buckets_are_series_of_their_own() -> None:
    names = Names()
    buckets = [0, 4] + [0] * (len(EDGES) - 2) + [1]
    flush = flush_of(names, exported({}, latency={RULE.format("v1", "time"): buckets}))

    found = {names.series[number].what: total for number, total in flush.totals.items()}
    assert found == {"le.1": 4, f"le.{len(EDGES)}": 1, "sum_ms": 1234}


@pytest.mark.parametrize(
    "wrong",
    [
        exported({}, gauges={WEB: 1}),
        exported({WEB: -1}),
        exported({WEB: 2**60}),
        exported({WEB: 1}, uptime=10**10),
        exported({}, uptime=10, start=-5, oldest=True),
    ],
    ids=["another-kind", "negative", "huge", "at-the-end-of-time", "before-all-time"],
)
def test_what_no_envoy_sends_is_malformed(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        flush_of(Names(), wrong)


def test_a_sum_that_is_no_number_is_malformed() -> None:
    said = export(exported({}, latency={RULE.format("v1", "time"): [1] * (len(EDGES) + 1)}))
    [found] = (each for each in metrics(said) if each.name == RULE.format("v1", "time"))
    found.histogram.data_points[0].sum = float("nan")
    with pytest.raises(Malformed):
        Reading(Names()).take([found])


def test_a_histogram_of_other_edges_is_not_counted() -> None:
    reading = Reading(Names())
    encoded = exported({WEB: 1}, latency={RULE.format("v1", "time"): [1, 2, 3]}, edges=(5, 10))
    reading.take(metrics(export(encoded)))

    assert reading.strange
    flush = reading.flush()
    assert flush is not None
    assert list(flush.totals.values()) == [1]
