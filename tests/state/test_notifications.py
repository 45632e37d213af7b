import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.ledger.facts import NOON, ref
from xds_server.difference.history import LEDGER, RECORDS, Event, Kind
from xds_server.ledger.entry import End, Entry, Summary
from xds_server.notifications.outbox import Waiting
from xds_server.notifications.webhook import Notification
from xds_server.state.store import Store

SHOP = ref("shop")


def notify(told: Iterable[tuple[Event, str]]) -> Iterator[Notification]:
    """Two webhooks are told everything."""
    for event, content in told:
        body = json.dumps([event.kind, event.what, content])
        yield from (Notification(webhook, event, f"id of {event.what}", body) for webhook in ("ops", "audit"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        opened.unsent.notify = notify
        yield opened


def event(what: str = "moved") -> Event:
    return Event(SHOP, NOON, RECORDS, what)


def entry(number: int = 1, **more: object) -> Entry:
    made = Entry(number, SHOP, "a" * 32, NOON, summary=Summary(accepted=2, not_loaded=1))
    return made if not more else Entry(number, SHOP, "a" * 32, NOON, summary=made.summary, **more)  # type: ignore[arg-type]


def told(store: Store, webhook: str = "ops") -> list[list[str]]:
    return [json.loads(store.unsent.message(each.number).body) for each in store.unsent.after(webhook, 0, 100)]


def test_what_is_told_of_an_event_is_kept_with_it_for_each_webhook(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.unsent.notify = notify
        store.save((), (), [event("first"), event("second")])

    with Store.open(tmp_path) as again:
        assert again.unsent.after("ops", 0, 10) == [Waiting(1, SHOP, NOON), Waiting(3, SHOP, NOON)]
        assert again.unsent.after("audit", 2, 1) == [Waiting(4, SHOP, NOON)]
        assert told(again) == [["changed", "first", ""], ["changed", "second", ""]]
        assert again.unsent.message(4) == ("id of second", '["changed", "second", ""]')


def test_an_event_that_is_not_kept_is_told_nobody_and_the_other_way_round(store: Store) -> None:
    def failing(_told: Iterable[tuple[Event, str]]) -> Iterator[Notification]:
        yield Notification("ops", event(), "1", "{}")
        raise RuntimeError("half way")

    store.unsent.notify = failing
    with pytest.raises(RuntimeError, match="half way"):
        store.save((), (), [event()])

    assert (store.events(SHOP), store.unsent.after("ops", 0, 10)) == ([], [])


def test_what_was_tried_or_is_over_stays_so(store: Store) -> None:
    store.save((), (), [event("first"), event("second")])
    store.unsent.tried(1, 7)
    store.unsent.forget([3])

    assert store.unsent.after("ops", 0, 10) == [Waiting(1, SHOP, NOON, 7)]
    store.unsent.forget([1, 2, 4])
    store.save((), (), [event("third")])
    assert [each.number for each in store.unsent.after("ops", 0, 10)] == [5], "no number is given twice"


def test_webhooks_that_are_no_more_are_told_nothing(store: Store) -> None:
    store.save((), (), [event("first"), event("second")])

    assert store.unsent.forget_others(["audit"]) == 2
    assert (store.unsent.after("ops", 0, 10), len(store.unsent.after("audit", 0, 10))) == ([], 2)


def test_that_a_content_is_live_is_told_once(store: Store) -> None:
    store.keep([entry()])
    assert told(store) == []

    store.keep([entry(live=NOON)])
    store.keep([entry(live=NOON, note="and so on")])
    store.keep([entry(live=NOON, ended=NOON, end=End.REPLACED), entry(2, live=NOON), entry(3)])
    live = "live: 2 of 2 accepted, 1 not loaded"
    assert told(store) == [[Kind.LIVE, live, "a" * 32]] * 2
    assert store.events(SHOP) == [], "the ledger has it"


def test_that_a_content_is_live_is_the_ledgers_word(store: Store) -> None:
    heard = list[Event]()

    def hear(told: Iterable[tuple[Event, str]]) -> list[Notification]:
        heard.extend(each for each, _ in told)
        return []

    store.unsent.notify = hear
    store.keep([entry(live=NOON)])
    [found] = heard
    assert (found.word, found.at, found.numbers) == (LEDGER, NOON, {"accepted": 2, "notLoaded": 1})


def test_nobody_is_told_where_there_is_no_webhook(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save((), (), [event()])
        assert store.unsent.after("ops", 0, 10) == []
