from itertools import count

from tests.ledger.facts import NOON, ref
from xds_server.difference.history import RECORDS, Event, Kind
from xds_server.domain.names import Ref
from xds_server.notifications.message import About
from xds_server.notifications.webhook import Notifying, Webhook


def webhook(name: str = "ops", kinds: tuple[Kind, ...] = (), releases: tuple[str, ...] = ()) -> Webhook:
    return Webhook(name, "https://ops.test/", "ops.secret", kinds=frozenset(kinds), releases=releases)


SHOP = ref("shop")


def event(release: Ref = SHOP, kind: Kind = Kind.HELD) -> Event:
    return Event(release, NOON, RECORDS, "moved", kind=kind)


def test_a_webhook_that_names_nothing_wants_everything() -> None:
    assert all(webhook().wants(event(kind=kind)) for kind in Kind)


def test_a_webhook_hears_of_its_kinds_and_releases_alone() -> None:
    some = webhook(kinds=(Kind.HELD, Kind.GATE), releases=("shop", "prod.*"))

    assert some.wants(event())
    assert some.wants(event(Ref("prod", "cart")))
    assert not some.wants(event(kind=Kind.LIVE))
    assert not some.wants(event(ref("shop-2")))
    assert not some.wants(event(Ref("test", "shop")))


def test_an_event_has_one_id_for_all_who_are_told() -> None:
    names, about = map(str, count(1)), lambda _release: About("shop", "c" * 32)
    some = Notifying((webhook("a"), webhook("b"), webhook("c", (Kind.LIVE,))), "here", about, lambda: next(names))

    found = list(some.notifications([(event(), ""), (event(kind=Kind.CHANGED), "d" * 32)]))
    assert [(each.webhook, each.id) for each in found] == [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")]
    assert found[0].body == found[1].body
    assert "c" * 32 in found[0].body
    assert "d" * 32 in found[2].body


def test_nothing_is_looked_up_for_what_nobody_wants() -> None:
    def about(release: Ref) -> About:
        raise AssertionError(release)

    assert list(Notifying((webhook(kinds=(Kind.LIVE,)),), "here", about, str).notifications([(event(), "")])) == []
