"""Why a release gives what it gives."""

from dataclasses import replace

import pytest

from tests.records.folder import NOON, SHOP
from tests.records.test_steering import ALL, AT_TEN, SAID, SHOP_REF, V1, Rolling, at
from xds_server.difference.statuses import Status, status_of
from xds_server.difference.whence import whence
from xds_server.records.admission import pinned, steered
from xds_server.records.admitted import Admission
from xds_server.records.pins import Pin
from xds_server.records.progress import Ended, Progress
from xds_server.records.releases import Weights
from xds_server.records.steered import Steered, identity_of

ADA = Pin(NOON, "ada", "it fails")


def at_step(step: int, weights: Weights, ended: Ended | None = None) -> Admission:
    shop = Rolling()
    progress = replace(Progress(identity_of(shop.record, SAID), step), ended=ended)
    return steered(shop.admission, SHOP_REF, Steered(progress, SAID, weights), NOON)


@pytest.mark.parametrize(
    ("admission", "said"),
    [
        pytest.param(Rolling().admission, {}, id="its record"),
        pytest.param(at_step(-1, SAID), {"default": "by its record, until its rollout begins"}, id="not begun"),
        pytest.param(at_step(0, AT_TEN), {"default": "by its rollout at step 1 of 2"}, id="a rollout"),
        pytest.param(
            at_step(1, ALL, Ended.FINISHED),
            {"default": "by its rollout, which has finished and is not in its record yet"},
            id="not written",
        ),
        pytest.param(at_step(0, SAID, Ended.STOPPED), {}, id="stopped"),
        pytest.param(
            pinned(at_step(0, AT_TEN), SHOP_REF, SAID, ADA),
            {"default": "pinned since 2026-11-23T12:00:00Z by ada: it fails"},
            id="a pin",
        ),
    ],
)
def test_what_decides_the_default_is_said(admission: Admission, said: dict[str, str]) -> None:
    assert whence(admission, SHOP_REF) == said


def test_an_audience_that_was_moved_is_said_where_it_decides_and_beside_the_status() -> None:
    audience = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    shop = Rolling({**SHOP, **at(100, 0, audiences=[audience])})
    shop.moves("early", V1)

    why = "pinned since 2026-11-23T12:00:00Z by rollout: worse"
    assert whence(shop.admission, SHOP_REF) == {"early": f"moved, and {why}"}
    assert status_of(shop.admission, SHOP_REF) == (Status.ACTIVE, f"audience early gets v1, {why}")
