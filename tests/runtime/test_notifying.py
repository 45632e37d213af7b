"""What waits in the state directory reaches webhooks: each in order, none because of another."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from typing_extensions import override

from tests.ledger.facts import NOON, ref
from tests.records.folder import release, shop_in
from tests.runtime.receivers import SECRET, Receiver, receiver
from tests.runtime.test_serve import LOOPBACK, ready
from tests.runtime.test_waiting import House
from tests.state.full import full
from xds_server.cli.demo import free_ports
from xds_server.difference.history import RECORDS, Event, Kind, Word
from xds_server.domain.addresses import Address
from xds_server.notifications import outcome as outcomes
from xds_server.notifications.message import About
from xds_server.notifications.outbox import Outbox
from xds_server.notifications.outcome import REFUSALS, Outcome
from xds_server.notifications.webhook import Webhook
from xds_server.records.admitted import Admission
from xds_server.runtime import notifying
from xds_server.runtime.notifying import FAILING, Courier, Notifier, notifier_of
from xds_server.runtime.posting import WebhooksUnusable
from xds_server.runtime.serve import Settings, serving
from xds_server.runtime.steering import Steering
from xds_server.state.store import Store

TAKEN, DOWN, REFUSED = Outcome(204), Outcome(why="Connection refused"), Outcome(404, "it answers 404")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "FIRST_PAUSE", 1e-6)


class FakePoster(notifying.Poster):
    """Answers as it was told, then that it is taken. While it is `busy` it does not answer."""

    def __init__(self, *answers: Outcome) -> None:
        self.answers = list(answers)
        self.posted: list[str] = []
        self.names: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    @override
    def open(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    @override
    async def post(self, name: str, body: bytes) -> Outcome:
        self.posted.append(json.loads(body)["data"].get("what", "ping"))
        self.names.append(name)
        await self.free.wait()
        return self.answers.pop(0) if self.answers else TAKEN


def event(what: str, release: str = "shop", kind: Kind = Kind.CHANGED) -> Event:
    return Event(ref(release), NOON, RECORDS, what, kind=kind)


def courier(store: Store, poster: FakePoster, name: str = "ops", *kinds: Kind) -> Courier:
    webhook = Webhook(name, f"https://{name}.test/?key=1", "", kinds=frozenset(kinds))
    return Courier(webhook, poster, store.unsent, lambda: NOON + timedelta(seconds=5))


def notifier(store: Store, *couriers: Courier, changed: Callable[[], None] = lambda: None) -> Notifier:
    made = Notifier(couriers, "here", "hooks.yaml")
    made.listen(store.unsent, lambda _release: About("shop", "c" * 32), changed)
    return made


@asynccontextmanager
async def working(made: Notifier) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(made.work())
        yield
        task.cancel()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def test_what_is_saved_is_told_in_order_and_then_forgotten(store: Store) -> None:
    poster = FakePoster()
    made = notifier(store, courier(store, poster))
    store.save((), (), [event("before")])
    async with working(made):
        await until(lambda: poster.posted == ["before"])
        store.save((), (), [event("first"), event("second")])
        await until(lambda: made.reports()[0].delivered == 3)

    assert poster.posted == ["before", "first", "second"]
    assert store.unsent.after("ops", 0, 10) == []
    assert made.reports()[0].waiting == 0


async def test_more_than_is_read_at_once_is_told_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "READ", 2)
    poster = FakePoster()
    made = notifier(store, courier(store, poster))
    store.save((), (), [event(str(number)) for number in range(7)])
    async with working(made):
        await until(lambda: made.reports()[0].delivered == 7)
    assert poster.posted == [str(number) for number in range(7)]


async def test_what_was_not_taken_when_the_server_ended_is_told_by_the_next_under_the_same_id(store: Store) -> None:
    """On its way, tried in vain, and not tried yet: all of it."""
    before = FakePoster(DOWN)
    made = notifier(store, courier(store, before))
    store.save((), (), [event("first"), event("second")])
    async with working(made):
        await until(lambda: len(before.posted) == 1)
        before.free.clear()
        await until(lambda: len(before.posted) == 2)

    after = FakePoster()
    again = notifier(store, courier(store, after))
    async with working(again):
        await until(lambda: again.reports()[0].delivered == 2)
    assert (before.posted, after.posted) == (["first", "first"], ["first", "second"])
    assert {*before.names} == {after.names[0]}


async def test_a_webhook_that_does_not_answer_holds_up_no_other(store: Store) -> None:
    slow, fast = FakePoster(), FakePoster()
    slow.free.clear()
    made = notifier(store, courier(store, slow, "slow"), courier(store, fast, "fast"))
    async with working(made):
        store.save((), (), [event("first"), event("second"), event("third")])
        await until(lambda: made.reports()[1].delivered == 3)
        assert slow.posted == ["first"]
        assert made.reports()[0].waiting == 3
        slow.free.set()
        await until(lambda: made.reports()[0].delivered == 3)
    assert slow.posted == fast.posted
    assert slow.names == fast.names


async def test_a_webhook_hears_of_what_it_asked_for(store: Store) -> None:
    poster = FakePoster()
    made = notifier(store, courier(store, poster, "ops", Kind.HELD))
    async with working(made):
        store.save((), (), [event("first"), event("second", kind=Kind.HELD)])
        await until(lambda: made.reports()[0].delivered == 1)
    assert poster.posted == ["second"]


async def test_a_webhook_that_fails_for_long_is_a_problem_until_it_takes_something(store: Store) -> None:
    changes = list[list[str]]()
    poster = FakePoster(*[DOWN] * (FAILING - 1))
    poster.free.clear()
    made = notifier(
        store, courier(store, poster), changed=lambda: changes.append([*map(str, made.problems(Admission()))])
    )
    async with working(made):
        store.save((), (), [event("first")])
        await until(lambda: len(poster.posted) == 1)
        poster.free.set()
        await until(lambda: made.reports()[0].delivered == 1)
        assert changes == [], "it may be a restart of the receiver"

        poster.answers = [DOWN] * FAILING + [Outcome(503, "it answers 503")]
        store.save((), (), [event("second")])
        await until(lambda: made.reports()[0].delivered == 2)

    assert [len(each) for each in changes] == [1, 0]
    assert changes[0][0] == (
        "hooks.yaml: warning: webhook ops does not take what it is told: Connection refused. "
        "Mend the receiver, or what the file says of it; look with xdsctl notifications. [Undelivered]"
    )
    [report] = made.reports()
    assert report.failed == 2 * FAILING
    assert report.last_error is not None
    assert report.last_error.why == "it answers 503"


async def test_what_is_refused_for_long_is_given_up_logged_and_counted(store: Store) -> None:
    poster = FakePoster(*[REFUSED] * REFUSALS)
    made = notifier(store, courier(store, poster))
    with capture_logs() as logged:
        async with working(made):
            store.save((), (), [event("first"), event("second")])
            await until(lambda: made.reports()[0].delivered == 1)

    assert poster.posted == ["first"] * REFUSALS + ["second"]
    assert [(each["event"], each["log_level"]) for each in logged] == [
        ("notification not taken", "info"),
        ("notification given up", "warning"),
    ]
    assert (made.reports()[0].given_up, store.unsent.after("ops", 0, 10)) == (1, [])


async def test_where_there_is_no_room_the_oldest_are_dropped_which_is_a_problem(store: Store) -> None:
    poster, changes = FakePoster(), list[int]()
    made = notifier(
        store, ops := courier(store, poster), changed=lambda: changes.append(len([*made.problems(Admission())]))
    )
    ops.outbox = Outbox(lambda: 0.0, 2)
    store.save((), (), [event(str(number)) for number in range(5)])
    with capture_logs() as logged:
        async with working(made):
            await until(lambda: made.reports()[0].delivered == 2)

    assert poster.posted == ["3", "4"]
    assert [(each["event"], each["count"]) for each in logged] == [("notifications dropped", 3)]
    assert changes == [1, 0]
    assert made.reports()[0].dropped == 3


async def test_a_webhook_that_is_configured_no_more_is_told_nothing_later(store: Store) -> None:
    notifier(store, courier(store, FakePoster(), "old"), courier(store, FakePoster()))
    store.save((), (), [event("first")])

    with capture_logs() as logged:
        notifier(store, courier(store, FakePoster()))
    assert [(each["event"], each["count"]) for each in logged] == [("notifications dropped", 1)]
    assert store.unsent.after("old", 0, 10) == []


async def test_what_is_counted(store: Store) -> None:
    registry = CollectorRegistry()
    made = notifier(store, courier(store, poster := FakePoster(DOWN)))
    registry.register(made)
    store.save((), (), [event("first"), event("second")])

    def metrics() -> dict[str, float]:
        return {
            sample.name.removeprefix("xds_server_notifications_"): sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.labels.get("reason") != "dropped"
        }

    async with working(made):
        await until(lambda: len(poster.posted) == 2)
        poster.free.clear()
        await until(lambda: made.reports()[0].delivered == 1)
        assert metrics() == {
            "delivered_total": 1.0,
            "failed_total": 1.0,
            "lost_total": 0.0,
            "waiting": 1.0,
            "oldest_seconds": 5.0,
        }


async def test_a_ping_is_sent_at_once_beside_what_waits(store: Store) -> None:
    poster = FakePoster(TAKEN, REFUSED)
    made = notifier(store, courier(store, poster))

    taken = await made.ping("ops")
    refused = await made.ping("https://ops.test/?key=1")
    assert taken is not None
    assert refused is not None
    assert (taken.webhook, taken.delivered, taken.status) == ("ops", True, 204)
    assert (refused.delivered, refused.why) == (False, "it answers 404")
    assert poster.posted == ["ping", "ping"]
    assert await made.ping("https://elsewhere.test/") is None
    assert made.reports()[0].url == "https://ops.test/", "there may be a secret in the query"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "--webhooks .*hooks.yaml cannot be read: No such file or directory. Name", id="no-file"),
        pytest.param("webhooks: []", "webhooks must not be empty", id="nobody"),
        pytest.param(
            'webhooks: [{name: ops, url: "https://ops.test", secret: none}]', "its secret .*none cannot", id="no-secret"
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_said_at_the_start(
    store: Store, tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "hooks.yaml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(WebhooksUnusable, match=said):
        notifier_of(file, store.unsent, lambda: NOON)


# --- in a running server


@asynccontextmanager
async def telling(records: Path, there: Receiver) -> AsyncIterator[House]:
    """A server that tells one receiver everything."""
    folder = records.parent
    (folder / "ops.secret").write_text(SECRET)
    (folder / "hooks.yaml").write_text(
        f'source: here\nwebhooks: [{{name: ops, url: "{there.url}", secret: ops.secret}}]'
    )
    xds, admin = free_ports(2)
    places = (Address(LOOPBACK, xds), Address(LOOPBACK, admin))
    async with serving(Settings(records, folder / "state", *places, webhooks=folder / "hooks.yaml")) as control:
        await ready(admin)
        yield House(control, records, xds, admin)


async def test_a_release_that_moves_becomes_live_and_is_taken_back_is_told_in_that_order(tmp_path: Path) -> None:
    async with receiver() as there, telling(shop_in(tmp_path), there) as here, here.proxy() as proxy:
        await there.heard(1)
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        await proxy.routes()
        await there.heard(2)
        await proxy.accept()
        await here.until(lambda: here.control.books.live(ref("shop")) is not None)
        Steering(here.control).rollback(ref("shop"), ref("v1"), Word("ada@desk", "it fails"))
        await proxy.routes()
        await proxy.accept()
        heard = await there.heard(5)

    assert all(each.is_ours for each in heard)
    said = [each.said["data"] for each in heard]
    assert [each["kind"] for each in said] == ["live", "changed", "live", "rolled-back", "live"]
    first, second, third = said[0]["content"], said[1]["content"], said[3]["content"]
    assert [each["content"] for each in said] == [first, second, second, third, third]
    assert len({first, second, third}) == 3
    back = heard[3].said
    assert (back["source"], back["subject"], back["type"]) == ("here", "shop", "dev.xds-server.release.rolled-back.v1")
    assert {name: back["data"][name] for name in ("app", "who", "why", "before", "after")} == {
        "app": "shop",
        "who": "ada@desk",
        "why": "it fails",
        "before": {"v2": 100.0},
        "after": {"v1": 100.0},
    }


async def test_a_release_that_goes_is_told_with_its_app_and_no_content(tmp_path: Path) -> None:
    async with receiver() as there, telling(shop_in(tmp_path), there) as here:
        here.write("other.yaml", release("other", "other.test"))
        await there.heard(1)
        (here.records / "other.yaml").unlink()
        came, went = [each.said["data"] for each in await there.heard(2)]
    assert (came["release"], came["app"], len(came["content"])) == ("other", "shop", 32)
    assert (went["release"], went["app"], went["content"]) == ("other", "shop", "")


async def test_the_interface_says_who_is_told_and_tries_it(tmp_path: Path) -> None:
    async with receiver(web.Response(status=500)) as there, telling(shop_in(tmp_path), there) as here:
        assert [each["name"] for each in (await here.get("/notifications"))["webhooks"]] == ["ops"]
        assert (await here.post("/notifications/test", {"webhook": "ops"}))["why"] == "it answers 500"
        assert (await here.post("/notifications/test", {"webhook": there.url}))["delivered"] is True
        said = await here.post("/notifications/test", {"webhook": "nobody"}, status=404)
        assert said == {"error": "no webhook is called 'nobody'; there is ops"}
        assert [each.said["type"] for each in there.requests] == ["dev.xds-server.ping.v1"] * 2


async def test_while_nothing_can_be_written_who_is_told_is_told_once(store: Store) -> None:
    """That it was told is written later."""
    poster = FakePoster(DOWN)
    made = notifier(store, courier(store, poster))
    store.save((), (), [event("first"), event("second")])
    with full(store):
        async with working(made):
            await until(lambda: made.reports()[0].delivered == 2)
    assert poster.posted == ["first", "first", "second"]
    assert len(store.unsent.after("ops", 0, 10)) == 2

    store.catch_up()
    assert store.unsent.after("ops", 0, 10) == []
