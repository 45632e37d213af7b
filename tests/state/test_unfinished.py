"""The fleet order comes back from its rows; that it goes on as it was is a law of `tests/test_fleet_order.py`."""

import json
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest

from tests.records import folder
from xds_server.domain.names import Ref
from xds_server.fleet_order import NOTHING_UNFINISHED, Phase, Progress, Unfinished
from xds_server.protocol.events import Node
from xds_server.records.models import App, AppDeployment, Build, Release
from xds_server.state.store import Store
from xds_server.state.unfinished import Moment, Saved, proxies_in, proxy_key, proxy_row, unfinished_in

APP = Ref("prod", "shop")
V1, WEB, SHOP = Ref("default", "v1"), Ref("default", "web-1"), Ref("default", "shop")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEFORE = Moment(1000.0, NOON)
DEPLOYMENT = AppDeployment.model_validate(json.loads(folder.deployment("v1")))
SETTINGS = App.model_validate(json.loads(folder.record("App", "shop", {"drain": "1m30s"})))
BUILD = Build.model_validate(json.loads(folder.build("web-1", "b1")))
RELEASE = Release.model_validate(json.loads(folder.release("shop", "shop.test", to="v1")))


def unfinished(step: Progress) -> Unfinished:
    return Unfinished({V1: step}, {WEB: BUILD}, {SHOP: RELEASE})


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    step = Progress(Phase.DRAINING, DEPLOYMENT, 1030.0, SETTINGS)
    with Store.open(tmp_path) as store:
        store.save(*Saved().news(APP, unfinished(step), BEFORE))
    with Store.open(tmp_path) as store:
        found = unfinished_in(store.load(), Moment(7.0, NOON + timedelta(seconds=10)))
    assert found == {APP: unfinished(Progress(Phase.DRAINING, DEPLOYMENT, 27.0, SETTINGS))}


@pytest.mark.parametrize(
    ("until", "passed", "left"),
    [
        pytest.param(1030.0, 10.0, 20.0, id="the rest"),
        pytest.param(1030.0, 31.0, 0.0, id="it is over"),
        pytest.param(1030.0, -3600.0, 30.0, id="a clock that was set back"),
        pytest.param(990.0, 0.0, -10.0, id="it was over already"),
        pytest.param(inf, 5.0, inf, id="it has not begun"),
    ],
)
def test_what_is_left_of_a_step(until: float, passed: float, left: float) -> None:
    rows, _ = Saved().news(APP, unfinished(Progress(Phase.LEAVING, DEPLOYMENT, until)), BEFORE)
    found = unfinished_in(rows, Moment(7.0, NOON + timedelta(seconds=passed)))
    assert found[APP].steps[V1].until == 7.0 + left


def test_a_phase_that_only_a_newer_server_knows_is_left_out() -> None:
    rows, _ = Saved().news(APP, unfinished(Progress(Phase.LEAVING, DEPLOYMENT, inf)), BEFORE)
    newer = [row._replace(document=row.document.replace('"leaving"', '"levitating"')) for row in rows]
    assert unfinished_in(newer, BEFORE)[APP].steps == {}


def test_what_is_the_same_object_is_written_once_and_what_is_gone_is_forgotten() -> None:
    saved, step = Saved(), Progress(Phase.LEAVING, DEPLOYMENT, inf)
    rows, gone = saved.news(APP, unfinished(step), BEFORE)
    assert (len(rows), gone) == (3, [])
    assert saved.news(APP, unfinished(step), BEFORE) == ([], [])
    other = Progress(Phase.DRAINING, DEPLOYMENT, 1030.0)
    rows, gone = saved.news(APP, Unfinished({V1: other}, {}, {SHOP: RELEASE}), BEFORE)
    assert [row.namespace for row in rows] == ["step prod.shop"]
    assert [key[1:] for key in gone] == [("build prod.shop", "web-1")]
    rows, gone = saved.news(APP, NOTHING_UNFINISHED, BEFORE)
    assert (rows, {key[1] for key in gone}) == ([], {"step prod.shop", "release prod.shop"})


def test_rows_of_which_nothing_can_be_made_are_forgotten_all_the_same() -> None:
    """A newer server's rules may refuse what an older one wrote."""
    rows, _ = Saved().news(APP, unfinished(Progress(Phase.LEAVING, DEPLOYMENT, inf)), BEFORE)
    refused = [
        row._replace(document=row.document.replace('"spec', '"Spec').replace('\\"spec', '\\"Spec')) for row in rows
    ]
    assert unfinished_in(refused, BEFORE) == {APP: NOTHING_UNFINISHED}
    saved = Saved()
    saved.recall(refused)
    _, gone = saved.news(APP, NOTHING_UNFINISHED, BEFORE)
    assert sorted(gone) == sorted(row[:3] for row in rows)


def test_proxies_come_back_as_they_said_they_are(tmp_path: Path) -> None:
    """But for what does not matter to who waits for them."""
    sidecar = Node("web 1", "prod.shop/web", "sidecar", "b:1", version="1.40.0", ports=(1, 2, 3))
    gateway = Node("edge-1", "edge", "", version="1.40.0")
    with Store.open(tmp_path) as store:
        store.save([proxy_row(each, NOON) for each in (sidecar, gateway)], ())
        assert proxies_in(store.load()) == [
            Node("edge-1", "edge", "gateway"),
            Node("web 1", "prod.shop/web", "sidecar", "b:1"),
        ]
        store.save((), [proxy_key(gateway)])
        assert [each.id for each in proxies_in(store.load())] == ["web 1"]
