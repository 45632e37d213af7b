import pytest

from tests.telemetry.exports import RULE
from xds_server.telemetry import names as module
from xds_server.telemetry.names import IN_HISTOGRAM, Kind, Names

WEB, TIME = RULE.format("v1", "2xx"), RULE.format("v1", "time")


def test_a_name_keeps_its_number_also_after_a_restart() -> None:
    names = Names()
    first, second = names.find(TIME), names.find(WEB)
    assert first is not None
    assert second is not None
    assert (first.first, second.first) == (0, len(IN_HISTOGRAM))

    again = Names(names.unsaved)

    assert again.find(WEB) == second
    other = again.find(RULE.format("v2", "2xx"))
    assert other is not None
    assert other.first == second.first + 1
    assert again.series[0].what == "le.0"


def test_what_an_earlier_release_has_read_keeps_its_numbers() -> None:
    """They may have totals, which are nobody else's."""
    found = Names([(7, "cluster.shop-v1/web.read_once")]).find(WEB)

    assert found is not None
    assert found.first >= 7 + len(IN_HISTOGRAM)


def test_a_gauge_has_no_number() -> None:
    found = Names().find("cluster.shop-v1/web.membership_healthy")
    assert found is not None
    assert (found.first, found.kind) == (-1, Kind.HEALTHY)


def test_what_is_not_read_has_none() -> None:
    assert Names().find("server.live") is None


def test_names_are_bounded_and_what_finds_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NUMBERS", 1)
    names = Names()
    assert names.find(WEB) is not None

    assert names.find(RULE.format("v2", "2xx")) is None
    assert names.find(WEB) is not None
    assert names.refused == 1
