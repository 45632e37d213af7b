from collections.abc import Callable
from datetime import timedelta

from tests.difference.edits import FILES, header, shares, shop
from tests.records.conditions import Activating
from tests.records.folder import NOON, Server
from tests.records.folder import SHOP as SHOP_FILES
from tests.records.test_activation import BUILDS, FAILED, at_v2
from xds_server.difference.history import Event, Kind, Word, events, waiting, weights_words
from xds_server.difference.releases import release_shifts
from xds_server.domain.names import Ref

SHOP, V1, V2 = (Ref("default", name) for name in ("shop", "v1", "v2"))
WORD = Word("ada@desk", "it fails")


def made(after: str) -> list[Event]:
    server = Server({**FILES, "shop.yaml": shop()})
    world = server.admission.world
    server.hears({"shop.yaml": after})
    return list(events(release_shifts(world, server.admission.world, server.admission.touched), NOON, WORD))


def test_what_a_default_gave_and_gives_is_kept():
    what = "default: v1 100 % -> v1 95 %, v2 5 %"
    assert made(shop(default=shares(v1=95, v2=5))) == [
        Event(SHOP, NOON, WORD, what, ((V1, 10_000),), ((V1, 9_500), (V2, 500)))
    ]


def test_an_audience_moves_no_default():
    [found] = made(shop(audiences=[header("early", "v2")]))
    assert found == Event(SHOP, NOON, WORD, "early: nothing -> v2 100 %")


def test_hosts_come_and_go():
    [found] = made(shop(hosts=["new.test"]))
    assert found.what == "hosts that came: new.test at edge; hosts that went: shop.test at edge"


def test_what_is_not_released_is_no_event():
    assert made(shop(policy={"history": 3})) == []


def test_weights_are_said_without_those_that_have_nothing():
    assert weights_words(((V1, 9_999), (V2, 1))) == "v1 99.99 %, v2 0.01 %"
    assert weights_words(((V1, 10_000), (V2, 0))) == "v1 100 %"
    assert weights_words(()) == "nothing"


def test_who_begins_to_wait_and_who_waits_in_vain_is_said_once():
    folder = Activating({**SHOP_FILES, "builds.yaml": BUILDS})

    def said(change: Callable[[], None]) -> list[tuple[Kind, str]]:
        before = folder.admission
        change()
        return [(each.kind, each.what) for each in waiting(before, folder.admission, NOON)]

    lack = "component web of v2 (build b2) has not passed its health check: nobody has answered yet"
    assert said(lambda: folder.hears(at_v2(**FAILED))) == [(Kind.PENDING, f"waits to be ready: {lack}")]
    assert said(lambda: folder.waits(timedelta(seconds=1))) == []
    assert said(lambda: folder.waits(timedelta(seconds=30))) == [(Kind.FAILED, f"not ready in time: {lack}")]
    assert said(lambda: folder.waits(timedelta(seconds=30))) == []
