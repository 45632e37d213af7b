import pytest

from tests.telemetry.exports import RULE, START, exported
from xds_server.messages.metrics import Malformed, attribute, export, metrics

WEB = RULE.format("v1", "2xx")


def test_what_the_official_definitions_write_is_read() -> None:
    said = export(exported({WEB: 7}, gauges={"cluster.shop-v1/web.membership_healthy": 2}, node="edge-1"))

    found = {each.name: each for each in metrics(said)}

    [count] = found[WEB].sum.data_points
    assert (count.as_int, count.start_time_unix_nano) == (7, START * 10**6)
    assert [point.as_int for point in found["cluster.shop-v1/web.membership_healthy"].gauge.data_points] == [2]
    assert attribute(said, "service.instance.id") == "edge-1"
    assert attribute(said, "service.name") == ""


def test_a_histogram_is_read() -> None:
    name = RULE.format("v1", "time")
    [found] = (each for each in metrics(export(exported({}, latency={name: [1] * 23}))) if each.name == name)

    [point] = found.histogram.data_points
    assert (point.count, point.sum, list(point.bucket_counts)) == (23, 1234.5, [1] * 23)


def test_what_is_no_export_is_told_from_one() -> None:
    with pytest.raises(Malformed):
        export(b"\x0a\xffno export")
