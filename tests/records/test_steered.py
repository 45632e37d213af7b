"""What of a rollout and of audiences that were moved is kept, and how a record says which rollout it asks for."""

from tests.records.folder import NOON, SHOP, Content, release
from tests.records.test_steering import AT_TEN, SAID, SHOP_REF, STEPS, V1, Rolling, at
from xds_server.records.pins import Pin
from xds_server.records.progress import Ended, Progress
from xds_server.records.steered import Moved, Steered, identity_of, moved_in, moved_row, steered_in, steered_row


def test_its_identity_is_what_it_does_however_it_is_written() -> None:
    shop = Rolling()
    named = [{"deployment": "default.v1", "weight": 100.0}, {"deployment": "v2", "weight": 0}]
    same = Rolling({**SHOP, "shop.yaml": release("shop", "else.test", default=named, rollout=STEPS)})
    assert identity_of(shop.record) == identity_of(same.record)
    assert identity_of(shop.record) != identity_of(shop.record, AT_TEN)


def test_its_identity_is_the_same_in_every_version() -> None:
    """Else every rollout would begin anew with the first start of another one."""
    shop = Rolling()
    assert identity_of(shop.record) == "c5060380d4992ac09348f851fcbb2d61"
    frozen = Rolling({**SHOP, **at(100, 0)} | at_frozen())
    assert identity_of(frozen.record) == identity_of(shop.record)


def at_frozen() -> dict[str, Content]:
    shares = [{"deployment": "v1", "weight": 100}, {"deployment": "v2", "weight": 0}]
    return {"shop.yaml": release("shop", "shop.test", default=shares, rollout={**STEPS, "freeze": True})}


def test_rows_come_back_as_they_were() -> None:
    progress = Progress("one", 2, approved=frozenset({1}), paused="lunch", ended=Ended.STOPPED, because="ada")
    known, to = Steered(progress, SAID, AT_TEN, "two"), (Moved("early", V1, Pin(NOON, "ada", "naïve")),)
    assert steered_in([steered_row(SHOP_REF, known)]) == {SHOP_REF: known}
    assert moved_in([moved_row(SHOP_REF, to)]) == {SHOP_REF: to}
