from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from immutables import Map
from prometheus_client import CollectorRegistry

from tests.telemetry.exports import RULE, START, exported, flush_of
from xds_server.api.admin import Readiness, admin_app
from xds_server.api.traffic import traffic_api
from xds_server.domain.names import Ref
from xds_server.records.models import API_VERSION, AppDeployment, Release
from xds_server.records.world import AppWorld, World
from xds_server.runtime.telemetry import Telemetry
from xds_server.runtime.watching import Watch
from xds_server.state.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOP = Ref("default", "shop")


def world(**said: Any) -> World:
    deployments = [
        AppDeployment.model_validate(
            {
                "apiVersion": API_VERSION,
                "kind": "AppDeployment",
                "metadata": {"name": f"shop-{version}"},
                "spec": {"app": "shop", "version": version, "components": {"web": {"build": "a1"}}},
            }
        )
        for version in ("v1", "v2", "v3")
    ]
    default = [{"deployment": "shop-v1", "weight": 90}, {"deployment": "shop-v2", "weight": 10}]
    release = Release.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "Release",
            "metadata": {"name": "shop"},
            "spec": {"app": "shop", "gateways": ["edge"], "hosts": ["shop.test"], "default": default} | said,
        }
    )
    app = AppWorld(SHOP, deployments=Map({each.ref: each for each in deployments}), releases=Map({SHOP: release}))
    return World(Map({SHOP: app}))


class Watched:
    """A server whose proxy flushes; `live` is since when the release is."""

    def __init__(self, store: Store) -> None:
        self.now = 100.0
        self.world = world()
        self.live: datetime | None = NOON - timedelta(hours=1)
        self.telemetry = Telemetry(store.counted, lambda: self.now)
        self._totals = {"v1": 0, "v2": 0}
        watch = Watch(self.telemetry, lambda: self.world, lambda _: self.live, lambda: NOON)
        ready = Readiness(ready=True, because="")
        app = admin_app(lambda: ready, CollectorRegistry(), more=[traffic_api(watch)])
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin")
        self.flush(0, 0)

    def flush(self, v1: int, v2: int, start: int = START) -> None:
        """A second later so many requests more have been answered."""
        self.now += 1
        self._totals = {"v1": self._totals["v1"] + v1, "v2": self._totals["v2"] + v2}
        counters = {RULE.format(version, "2xx"): total for version, total in self._totals.items()}
        flush = flush_of(self.telemetry.totals.names, exported(counters, int(self.now), start=start))
        self.telemetry.flushes.hear(self.telemetry.totals.fold("edge-1", flush, self.now))

    async def asks(self, path: str, status: int = 200) -> Any:
        found = await self.client.get(path)
        assert found.status_code == status, found.text
        return found.json()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Store.open(tmp_path) as store:
        yield Watched(store)


async def test_traffic_is_that_of_the_last_seconds(watched: Watched) -> None:
    watched.flush(500, 500)
    watched.now += 10
    watched.flush(90, 10)

    found = await watched.asks("/traffic?last=5")

    said = [(each["app"], each["deployment"], each["rule"], each["perSecond"]) for each in found]
    assert said == [("shop", "shop-v1", "default", 18.0), ("shop", "shop-v2", "default", 2.0)]
    assert await watched.asks("/traffic?last=5&app=shop") == found
    said = await watched.asks("/traffic?app=other", 404)
    assert said["error"] == "there is no app 'other': xdsctl get apps lists what there is"


async def test_stable_is_compared_with_what_rises(watched: Watched) -> None:
    watched.flush(90, 10)

    found = await watched.asks("/releases/shop/compare")

    assert (found["first"], found["second"]) == ("shop-v1", "shop-v2")
    [row] = found["rows"]
    assert (row["first"]["requests"], row["second"]["requests"]) == (90, 10)
    assert row["errorsRatio"] == {"least": 0.0, "most": None}
    assert [(each["deployment"], each["actual"], each["set"]) for each in found["shares"]] == [
        ("shop-v1", 0.9, 0.9),
        ("shop-v2", 0.1, 0.1),
    ]


async def test_what_is_in_no_tick_is_told(watched: Watched) -> None:
    watched.flush(90, 10)
    watched.flush(90, 10, start=START + 50)
    watched.flush(90, 10, start=START + 50)
    found = await watched.asks("/releases/shop/compare")
    assert found["leftOut"] == [
        {"because": "proxy began again", "flushes": 1, "requests": 200, "proxies": ["edge-1"]},
    ]
    assert found["rows"][0]["first"]["requests"] == 180


async def test_whatever_two_are_named_are_compared(watched: Watched) -> None:
    watched.flush(90, 10)
    found = await watched.asks("/releases/shop/compare?first=shop-v2&second=shop-v3")
    assert (found["first"], found["second"], len(found["rows"])) == ("shop-v2", "shop-v3", 1)


async def test_a_rollout_says_which_one_rises(watched: Watched) -> None:
    watched.world = world(rollout={"deployment": "shop-v1", "steps": [{"to": 100}]})
    found = await watched.asks("/releases/shop/compare")
    assert (found["first"], found["second"]) == ("shop-v2", "shop-v1")


@pytest.mark.parametrize(
    ("live", "requests"), [(None, []), (NOON - timedelta(seconds=4), [100, 0]), (NOON, [])], ids=str
)
async def test_shares_are_those_since_the_release_is_live(
    watched: Watched, live: datetime | None, requests: list[int]
) -> None:
    watched.flush(0, 500)
    watched.now += 10
    watched.flush(100, 0)
    watched.now += 0.5
    watched.live = live
    assert [each["requests"] for each in (await watched.asks("/releases/shop/compare"))["shares"]] == requests


@pytest.mark.parametrize("sticky", [False, True])
async def test_a_share_that_cannot_be_chance_is_told_unless_users_are_drawn(watched: Watched, sticky: bool) -> None:
    watched.world = world(sticky={"cookie": "user"}) if sticky else world()
    watched.flush(500, 500)
    found = await watched.asks("/releases/shop/compare")
    assert ([each["unlikely"] for each in found["shares"]], found["sticky"]) == ([not sticky] * 2, sticky)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/releases/none/compare", 404, "there is no release 'none'"),
        ("/releases/shop/compare?first=shop-v1&second=shop-v9", 404, "shop has no deployment 'shop-v9'"),
        ("/releases/shop/compare?first=shop-v1", 400, "write both"),
    ],
)
async def test_what_cannot_be_compared_is_said(watched: Watched, path: str, status: int, words: str) -> None:
    assert words in (await watched.asks(path, status))["error"]


async def test_a_release_of_one_has_nothing_beside_it(watched: Watched) -> None:
    watched.world = world(default=[{"deployment": "shop-v1"}])
    assert "one deployment by default" in (await watched.asks("/releases/shop/compare", 404))["error"]
