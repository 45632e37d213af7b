"""What a server writes of its ledger, and when."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.ledger.facts import NOON, Story, change, ref
from tests.records.folder import SHOP, release
from tests.state.full import full
from xds_server.domain.errors import StateUnwritable
from xds_server.ledger.entry import State
from xds_server.ledger.ledger import Published
from xds_server.protocol.events import Acked, Nacked, Node, Send
from xds_server.records.reading import Batch, Readable
from xds_server.runtime import bookkeeping
from xds_server.runtime.bookkeeping import AT_ONCE, Bookkeeping
from xds_server.runtime.control import Control
from xds_server.runtime.metrics import Metrics
from xds_server.snapshot import Resource, TypeUrl
from xds_server.state.store import Store
from xds_server.transport.connections import Connections

EDGE_1 = Node("edge-1", "edge", "gateway", version="1.36.4")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        yield opened


def books_of(store: Store) -> Bookkeeping:
    return Bookkeeping(store, Connections(), lambda: NOON)


def test_what_is_new_is_written_in_transactions_of_a_bounded_size(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookkeeping, "MOST", 2)
    books = books_of(store)
    books.publish(Published(1, [change(name, "a" * 32) for name in ("a", "b", "c")], complete=True))

    assert books.unsaved.is_set()
    books.save()
    assert (len(store.begun()[0]), books.unsaved.is_set()) == (2, True)
    books.save()
    assert (len(store.begun()[0]), books.unsaved.is_set()) == (3, False)


def test_a_transaction_is_closed_after_some_time(store: Store) -> None:
    now = NOON

    def ticking() -> datetime:
        nonlocal now
        now += AT_ONCE / 3
        return now

    books = Bookkeeping(store, Connections(), ticking)
    books.publish(Published(1, [change(name, name * 32) for name in "abcdef"], complete=True))

    books.save()
    assert [len(store.begun()[0]), books.unsaved.is_set()] == [3, True]
    books.save_all()
    assert [len(store.begun()[0]), books.unsaved.is_set()] == [6, False]


def test_what_is_new_of_some_releases_is_written_at_once(store: Store) -> None:
    books = books_of(store)
    books.publish(Published(1, [change("a", "a" * 32), change("b", "b" * 32)], complete=True))

    books.save_of([ref("a"), ref("nobody")])
    assert [each.release for each in store.begun()[0]] == [ref("a")]
    books.save_all()
    assert [each.release for each in store.begun()[0]] == [ref("a"), ref("b")]


def test_history_has_what_is_not_written_yet(store: Store) -> None:
    books = books_of(store)
    books.publish(Published(1, [change("shop", "a" * 32)], complete=True))
    books.publish(Published(2, [change("shop", "b" * 32)]))

    assert [each.state for each in books.history(ref("shop"))] == [State.NO_PROXIES, State.SUPERSEDED]
    assert [each.content for each in books.entries_of("a" * 8)] == ["a" * 32]


def test_another_server_begins_where_this_one_ended(store: Store) -> None:
    books = books_of(store)
    books.publish(Published(1, [change("shop", "a" * 32)], complete=True))
    books.save_all()
    after = books_of(store)
    after.publish(Published(1, [change("shop", "a" * 32), change("new", "b" * 32)], complete=True))

    assert [each.number for each in store.history(ref("shop"))] == [1]
    assert [each.number for each in after.history(ref("new"))] == [2]


def test_facts_of_streams_reach_the_ledger(store: Store) -> None:
    """A control whose observers are told what a session would tell them."""
    control = Control("records", store, Metrics(), allow_empty=False)
    control.hear(Batch({name: Readable(text) for name, text in SHOP.items()}, complete=True))
    books = control.books
    entry = books.ledger.entry(ref("shop"))
    assert entry is not None
    assert entry.state is State.NO_PROXIES
    snapshot = control.worlds.told(Story().fleet[0])
    assert snapshot is not None
    routes = snapshot.of(TypeUrl.ROUTES)["edge/http"]

    def state() -> State:
        found = books.ledger.entry(ref("shop"))
        assert found is not None
        return found.state

    books.opened(EDGE_1, "delta")
    books.sent(EDGE_1, Send(TypeUrl.ROUTES, "1", b"", (routes,), ()))
    assert state() is State.PENDING
    books.nacked(EDGE_1, Nacked(TypeUrl.ROUTES, "1", "no", {"edge/http": routes.version}))
    books.acked(EDGE_1, Acked(TypeUrl.ROUTES, "2", (Resource("edge/http", "older", b""),), ()))
    assert state() is State.REFUSED
    books.acked(EDGE_1, Acked(TypeUrl.ROUTES, "3", (routes,), ()))
    assert state() is State.LIVE
    control.hear(Batch({"shop.yaml": Readable(release("shop", "shop.test", to="v2"))}))
    assert state() is State.PENDING
    books.closed(EDGE_1, "delta")
    assert state() is State.NO_PROXIES


def test_a_proxy_that_is_never_served_is_not_waited_for(store: Store) -> None:
    control = Control("records", store, Metrics(), allow_empty=False)
    control.hear(Batch({name: Readable(text) for name, text in SHOP.items()}, complete=True))
    control.books.opened(Node("old", "edge", "gateway", version="1.20.0"), "delta")
    control.books.opened(Node("beside", "edge", "sidecar"), "delta")

    entry = control.books.ledger.entry(ref("shop"))
    assert entry is not None
    assert entry.state is State.NO_PROXIES


def test_a_change_of_labels_is_no_new_content(store: Store) -> None:
    control = Control("records", store, Metrics(), allow_empty=False)
    control.hear(Batch({name: Readable(text) for name, text in SHOP.items()}, complete=True))
    labelled = release("shop", "shop.test", metadata={"labels": {"team": "checkout"}})
    control.hear(Batch({"shop.yaml": Readable(labelled)}))

    assert [each.number for each in control.books.history(ref("shop"))] == [1]


async def test_who_waits_for_any_release_is_not_woken_by_each_acknowledgement(store: Store) -> None:
    books = books_of(store)
    books.publish(Published(1, [change("shop", "a" * 32)], complete=True))
    books.opened(EDGE_1, "delta")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(books.news_of(None))
        await _begun(books)
        books.acked(EDGE_1, Acked(TypeUrl.CLUSTER, "1", (Resource("web", "1", b""),), ()))
        assert books.awaited == {None}, "no release has come further"
        books.publish(Published(2, [change("shop", "b" * 32)]))
        assert books.awaited == frozenset()
    assert waiting.done()


async def test_nothing_is_kept_of_a_name_for_which_nobody_waits_any_more(store: Store) -> None:
    books = books_of(store)
    async with asyncio.TaskGroup() as tasks:
        first, second = (tasks.create_task(books.news_of(ref("nobody"))) for _ in range(2))
        await _begun(books)
        first.cancel()
        await asyncio.wait([first])
        assert books.awaited == {ref("nobody")}, "another waits still"
        second.cancel()
    assert books.awaited == frozenset()


async def _begun(books: Bookkeeping) -> None:
    """Whoever was to wait waits."""
    async with asyncio.timeout(30):
        while not books.awaited:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


def test_a_removed_release_is_in_history_alone(store: Store) -> None:
    control = Control("records", store, Metrics(), allow_empty=False)
    control.hear(Batch({name: Readable(text) for name, text in SHOP.items()}, complete=True))
    control.hear(Batch({"shop.yaml": None, "other.yaml": Readable(release("other", "other.test"))}))

    assert [each.state for each in control.books.history(ref("shop"))] == [State.REMOVED]
    assert control.books.ledger.releases == [ref("other")]


def test_a_sidecar_holds_no_host_of_a_release(store: Store) -> None:
    """What it has accepted, or has not, makes no release live."""
    books = books_of(store)
    beside = Node("web-1", "shop/web", "sidecar", "b1", version="1.40.0")
    resource = Resource("shop/web@b1/outbound", "1", b"")
    books.publish(Published(1, [change("shop", "a" * 32)], complete=True))
    books.opened(beside, "delta")
    books.sent(beside, Send(TypeUrl.ROUTES, "1", b"", (resource,), ()))
    books.nacked(beside, Nacked(TypeUrl.ROUTES, "1", "no", {resource.name: resource.version}))
    books.closed(beside, "delta")

    assert [each.state for each in books.history(ref("shop"))] == [State.NO_PROXIES]


def test_what_cannot_be_written_now_is_new_all_the_same(store: Store) -> None:
    books = books_of(store)
    books.publish(Published(1, [change("a", "a" * 32), change("b", "b" * 32)], complete=True))
    books.publish(Published(2, [change("a", "c" * 32)]))
    with full(store):
        for write in (books.save, books.save_all, lambda: books.save_of([ref("a")])):
            with pytest.raises(StateUnwritable):
                write()
        assert books.unsaved.is_set()
        assert [each.content for each in books.history(ref("a"))] == ["c" * 32, "a" * 32]
        assert [each.content for each in books.entries_of("b" * 8)] == ["b" * 32]

    books.save()
    assert not books.unsaved.is_set()
    assert [each.content for each in store.history(ref("a"))] == ["c" * 32, "a" * 32]
    assert [each.release for each in store.begun()[0]] == [ref("b"), ref("a")]
