from datetime import timedelta
from pathlib import Path

import pytest

from tests.records.folder import SHOP
from tests.runtime.rolling import ADA, NOON, SHOP_REF, V1, Server, began, opened, shop
from xds_server.difference.steering import CannotSteer


def test_a_freeze_outlives_the_server_and_ends_by_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store)
        with pytest.raises(CannotSteer, match="is over"):
            server.asked.freeze(NOON - timedelta(days=1), ADA)
        server.asked.freeze(NOON + timedelta(seconds=10), ADA)
        server.looks()
        assert server.step == 0
    with opened(tmp_path) as store:
        server = Server(store, {**SHOP, **shop()}, now=1)
        assert server.asked.frozen().why == "why not (ada)"
        server.looks()
        assert server.step == 0
        server.looks(20)
        assert server.step == 1
        with pytest.raises(CannotSteer, match="no rollout is frozen"):
            server.asked.unfreeze(ADA)
        assert server.rollouts.freezing.frozen is None


def test_whoever_unpins_hears_that_nothing_moves_before_the_freeze_is_over(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, dict(SHOP))
        server.steering.rollback(SHOP_REF, V1, ADA)
        server.hears(shop())
        server.asked.freeze(NOON + timedelta(hours=1), ADA)
        said = server.steering.unpin(SHOP_REF, ADA, only_say=True).what
        assert said.endswith(
            "then its rollout is frozen until 2026-11-26T13:00:00Z (why not (ada)); after that v2 goes to 10%"
        )
