from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.records.folder import SHOP, build, deployment, release
from tests.runtime.test_control import Server
from tests.telemetry.exports import RULE, exported, flush_of
from xds_server.api.admin import Readiness, admin_app
from xds_server.api.descriptions import descriptions_api
from xds_server.api.rollouts import RolloutReport, VerdictReport
from xds_server.difference.history import Word
from xds_server.domain.names import Ref
from xds_server.runtime.clock import clock
from xds_server.runtime.describing import Descriptions
from xds_server.runtime.steering import Steering
from xds_server.runtime.telemetry import Telemetry
from xds_server.runtime.watching import Watch
from xds_server.state.store import Store

SHOP_REF = Ref("default", "shop")
EARLY = {"name": "early", "match": {"headers": [{"name": "x-early", "exact": "true"}]}, "deployment": "shop-v2"}
HALF = [{"deployment": "shop-v1", "weight": 50}, {"deployment": "shop-v2", "weight": 50}]
FILES = {
    "edge.yaml": SHOP["edge.yaml"],
    "builds.yaml": SHOP["builds.yaml"],
    "cart.yaml": build("cart", "c1", component="cart"),
    **{
        f"{name}.yaml": deployment(
            name, components={"web": {"build": own, "routes": [{"pathPrefix": "/"}]}, "cart": {"build": "c1"}}
        )
        for name, own in (("shop-v1", "b1"), ("shop-v2", "b2"))
    },
    "shop.yaml": release("shop", "shop.test", default=HALF, audiences=[EARLY]),
}
ROLLOUT = RolloutReport(
    release="shop",
    deployment="shop-v2",
    step=1,
    steps=("50 % for 20m", "100 %"),
    share=50,
    stayed=60,
    ended=None,
    held="evidence",
    because="not known to be safe",
    until=None,
    verdicts=(VerdictReport(cohort="default", guard="errors", verdict="unknown", because="few", missing=900),),
)


class Described:
    """A server with a release, and a proxy whose flushes are heard; `live` is since when the release is."""

    def __init__(self, store: Store) -> None:
        self.server = Server(store)
        self.server.hears(FILES, complete=True)
        self.rollout: RolloutReport | None = None
        self._now = 100.0
        control = self.server.control
        self.telemetry = Telemetry(store.counted, lambda: self._now)
        live = clock() - timedelta(hours=1)
        watch = Watch(self.telemetry, lambda: control.admission.world, lambda _: live, clock)
        descriptions = Descriptions(control, self.telemetry, watch, lambda _: self.rollout)
        ready = Readiness(ready=True, because="")
        app = admin_app(lambda: ready, CollectorRegistry(), more=[descriptions_api(descriptions)])
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin")

    def flush(self, seconds: int, **counters: int) -> None:
        """What the proxy has counted by now, by where: `v1`, `v2`, or `early`."""
        stats = {"early": RULE.format("v2", "2xx").replace("rule/default", "rule/early")}
        said = {stats.get(where, RULE.format(where, "2xx")): total for where, total in counters.items()}
        members = {"cluster.shop-v1/web.membership_healthy": 1, "cluster.shop-v1/web.membership_total": 2}
        self._now += 1
        flush = flush_of(self.telemetry.totals.names, exported(said, seconds, gauges=members))
        self.telemetry.flushes.hear(self.telemetry.totals.fold("edge-1", flush, self._now))

    async def asks(self, name: str = "shop", status: int = 200) -> Any:
        found = await self.client.get(f"/releases/{name}/describe")
        assert found.status_code == status, found.text
        return found.json()


@pytest.fixture
def described(tmp_path: Path) -> Iterator[Described]:
    with Store.open(tmp_path) as store:
        yield Described(store)


async def test_deployments_have_components_and_builds_and_say_with_whom_they_share(described: Described) -> None:
    said = await described.asks()
    assert (said["status"], said["app"], said["gateways"], said["hosts"]) == ("Active", "shop", ["edge"], ["shop.test"])
    first, second = said["deployments"]
    assert (first["deployment"], first["version"], first["status"], first["set"]) == ("shop-v1", "shop-v1", "Ready", 50)
    assert [(each["component"], each["build"], each["entry"], each["sharedWith"]) for each in first["components"]] == [
        ("cart", "c1", False, ["shop-v2"]),
        ("web", "b1", True, []),
    ]
    assert (first["audiences"], second["audiences"]) == ([], ["early"])
    assert said["ledger"]["current"]["state"] == "no proxies"
    assert (said["pin"], said["rollout"], said["problems"]) == (None, None, [])


async def test_what_proxies_count_is_beside_what_is_set(described: Described) -> None:
    described.flush(10, v1=0, v2=0, early=2)
    described.flush(11, v1=900, v2=100, early=7)

    said = await described.asks()

    assert [(each["share"]["actual"], each["share"]["unlikely"]) for each in said["deployments"]] == [
        (0.9, True),
        (0.1, True),
    ]
    assert [(each["name"], each["requests"]) for each in said["audiences"]] == [("early", 7)]
    by_name = {each["component"]: each for each in said["deployments"][0]["components"]}
    assert (by_name["web"]["healthy"], by_name["web"]["endpoints"]) == (1, 2)
    assert (by_name["cart"]["healthy"], by_name["cart"]["endpoints"]) == (None, 1)


async def test_a_pin_and_the_last_of_the_history_are_told(described: Described) -> None:
    steering = Steering(described.server.control)
    for number in range(6):
        steering.rollback(SHOP_REF, Ref("default", f"shop-v{number % 2 + 1}"), Word("ada", "it fails"))
    said = await described.asks()
    assert (said["status"], said["pin"]["who"]) == ("RolledBack", "ada")
    assert [each["who"] for each in said["history"]] == ["ada"] * 5


async def test_a_rollout_says_how_it_goes(described: Described) -> None:
    described.rollout = ROLLOUT
    said = await described.asks()
    assert (said["status"], said["because"]) == ("Holding", "step 1 of 2: not known to be safe")
    assert said["rollout"]["verdicts"][0]["missing"] == 900
    described.rollout = ROLLOUT.model_copy(update={"ended": "finished", "held": None})
    assert (await described.asks())["status"] == "Active"


async def test_problems_of_its_records_are_told_and_why_what_is_wanted_is_not_in_force(described: Described) -> None:
    described.server.hears({"builds.yaml": build("web-1", "b1"), "other.yaml": release("other", "o.test", to="v9")})
    described.server.hears({"shop.yaml": release("shop", "shop.test", to="shop-v9")})
    said = await described.asks()
    assert {each["record"] for each in said["problems"]} == {"Release/default/shop", "AppDeployment/default/shop-v2"}
    assert said["deployments"][1]["status"] == "NoEndpoints"
    assert "[UnknownDeployment]" in said["ledger"]["refused"]


async def test_a_release_that_waits_names_what_is_missing(described: Described) -> None:
    described.server.hears({"other.yaml": release("other", "o.test", to="v9")})
    said = await described.asks("other")
    assert (said["status"], said["accepted"], said["ledger"]["current"]) == ("Failed", None, None)
    assert [(each["deployment"], each["status"]) for each in said["deployments"]] == [("v9", "Missing")]


async def test_what_is_gone_is_superseded_and_what_never_was_is_not_found(described: Described) -> None:
    described.server.hears({"other.yaml": release("other", "o.test", to="shop-v1")})
    described.server.hears({"shop.yaml": None})
    said = await described.asks()
    assert (said["status"], said["deployments"], len(said["history"])) == ("Superseded", [], 1)
    assert "there is no release 'none'" in (await described.asks("none", 404))["error"]


async def test_how_many_there_are_behind_a_name_only_proxies_know(described: Described) -> None:
    described.server.hears({"cart.yaml": build("cart", "c1", component="cart", endpoints={"dns": "cart.test:80"})})
    [cart, _] = (await described.asks())["deployments"][0]["components"]
    assert (cart["endpoints"], cart["healthy"]) == (None, None)
