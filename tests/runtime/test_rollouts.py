"""Rollouts with a real store and control, a clock that is told, and flushes that are made up."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from tests.records.folder import ROUTES, SHOP, build, deployment, documents, release
from tests.state.full import full
from xds_server.difference.history import Event, Kind, Word
from xds_server.difference.steering import CannotSteer
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.domain.statistics import Series
from xds_server.ledger.entry import Entry
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.records.progress import Ended
from xds_server.records.reading import Batch, FileChange, Readable
from xds_server.records.releases import Weights
from xds_server.records.saved import Row
from xds_server.rollout.watched import Past, nothing_past
from xds_server.runtime import rollouts
from xds_server.runtime.clock import clock
from xds_server.runtime.control import Control
from xds_server.runtime.finishing import NotWritten
from xds_server.runtime.judging import Judging
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.promoting import AskedOfRollouts
from xds_server.runtime.rollouts import Rollouts, Shell
from xds_server.runtime.steering import Steering
from xds_server.runtime.writing import Writing
from xds_server.sources.writing import NotWritten as FileNotWritten
from xds_server.sources.writing import Writer
from xds_server.state.store import Store
from xds_server.telemetry.totals import Sums

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SHOP_REF, V1, V2 = (Ref("default", name) for name in ("shop", "v1", "v2"))
ADA = Word("ada", "why not")
STEPS: list[Any] = [{"to": 10, "for": "4s"}, {"to": 50, "for": "4s"}, {"to": 100, "for": "4s"}]
GUARD = {"errors": {"maxRatio": 1.5, "floor": 2}, "onUnknown": "advance"}


class Flush:
    """Requests of each deployment under each rule, and how many of them failed."""

    number = 1
    node = "edge-1"
    heard = 0.0

    def __init__(self, **counts: tuple[int, int]) -> None:
        self._counts = counts

    def of(self, deployment: Ref) -> Sums:
        found: dict[Series, int] = {}
        for name, (requests, bad) in self._counts.items():
            version, _, rule = name.partition("_")
            if version == deployment.name:
                found[Series(deployment, "web", rule or "default", "2xx")] = requests - bad
                found[Series(deployment, "web", rule or "default", "5xx")] = bad
        return found


class MadeUp(Judging):
    """What the fleet says is what a test says."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.asked = asyncio.Event()
        self.dead = False

    @override
    def flushes(self) -> list[Any]:
        said, self.said = self.said, []
        self.asked.set()
        return said

    @override
    def past(self, canary: Ref, deployments: Iterable[Ref]) -> Past:
        return nothing_past

    @override
    def is_dead(self, components: Iterable[tuple[Ref, str]]) -> bool:
        return self.dead


class Killed(BaseException):
    """The process ends here."""


class Mortal(Store):
    """Dies before or after one of the times that it writes."""

    writes: int
    dies_at: int

    def arm(self, dies_at: int) -> None:
        self.writes, self.dies_at = 0, dies_at

    @override
    def save(
        self, upserts: Iterable[Row], deletes: Iterable[tuple[str, str, str]], history: Sequence[Event] = ()
    ) -> None:
        self.writes += 1
        if self.writes * 2 == self.dies_at:
            raise Killed
        super().save(upserts, deletes, history)
        if self.writes * 2 + 1 == self.dies_at:
            raise Killed

    @override
    def keep(self, entries: Iterable[Entry]) -> None:
        """The ledger is another matter."""


class Server:
    """One run of a server, on a folder of records and a state directory that outlive it."""

    def __init__(self, store: Store, files: dict[str, str], now: float = 0.0) -> None:
        self.files = files
        self.store = store
        self.now = now
        self.jumped = timedelta()
        self.live = True
        self.refuses = ""
        self.writes: Callable[[], None] = lambda: None
        self.judging = MadeUp()
        self.control = Control("records", store, Metrics(), allow_empty=False)
        shell = Shell(lambda _: NOON if self.live else None, self.write, self.clock, lambda: self.now)
        self.rollouts = Rollouts(self.control, store, self.judging, shell)
        self.asked = AskedOfRollouts(self.rollouts)
        self.steering = Steering(self.control)
        self.control.follow_turns(self.rollouts.hear)
        self.control.reporting.report_of(self.rollouts)
        self.hears(files, complete=True)

    def clock(self) -> datetime:
        return NOON + timedelta(seconds=self.now) + self.jumped

    def write(self, ref: Ref, weights: Weights) -> None:
        self.writes()
        if self.refuses:
            raise NotWritten(self.refuses)
        said = json.loads(self.files["shop.yaml"])
        said["spec"]["default"] = [{"deployment": each.name, "weight": weight / 100} for each, weight in weights]
        self.files["shop.yaml"] = json.dumps(said)
        self.hears({"shop.yaml": self.files["shop.yaml"]})

    def hears(self, files: Mapping[str, str], *, complete: bool = False) -> None:
        self.files |= files
        self.control.hear(Batch({name: Readable(text) for name, text in files.items()}, complete))

    def looks(self, seconds: float = 0.5, *flushes: Any) -> None:
        self.now += seconds
        self.judging.said = list(flushes)
        asyncio.run(self._looks())

    async def _looks(self) -> None:
        await self.rollouts.look()
        await self.rollouts.owed.write()

    def until(self, told: Callable[[], bool], *flushes: Any, most: int = 100) -> None:
        for _ in range(most):
            if told():
                return
            self.looks(0.5, *flushes)
        raise AssertionError(self.asked.report(SHOP_REF))

    @property
    def step(self) -> int:
        found = self.asked.report(SHOP_REF)
        return -1 if found is None else found.step

    @property
    def ended(self) -> str | None:
        found = self.asked.report(SHOP_REF)
        return None if found is None else found.ended

    @property
    def because(self) -> str:
        found = self.asked.report(SHOP_REF)
        assert found is not None
        return found.because

    @property
    def gives(self) -> dict[str, float]:
        entry = self.control.admission.in_force[Key("Release", SHOP_REF)]
        assert isinstance(entry.record, Release)
        return {deployment.name: weight / 100 for deployment, weight in entry.record.weights}

    @property
    def history(self) -> list[Event]:
        return self.control.history(SHOP_REF)[::-1]

    @property
    def kinds(self) -> list[Kind]:
        return [each.kind for each in self.history]

    def said(self, kind: Kind) -> list[Event]:
        return [each for each in self.history if each.kind is kind]

    def problems(self, reason: Reason) -> list[str]:
        return [each.what for each in self.control.problems if each.reason is reason]


def shop(steps: list[Any] | None = None, guard: Any = None, v1: float = 100, **spec: Any) -> dict[str, str]:
    rollout = {"steps": steps or STEPS, **({"guard": guard} if guard else {}), **spec.pop("rollout", {})}
    shares = [{"deployment": "v1", "weight": v1}, {"deployment": "v2", "weight": 100 - v1}]
    return {"shop.yaml": release("shop", "shop.test", default=shares, rollout=rollout, **spec)}


@contextmanager
def opened(folder: Path, kind: type[Store] = Store) -> Iterator[Store]:
    with kind.open(folder) as store:
        yield store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """v1 is released, and a rollout of v2 has just been written."""
    with opened(tmp_path) as store:
        yield began(store)


def began(store: Store, **spec: Any) -> Server:
    made = Server(store, dict(SHOP))
    made.hears(shop(**spec))
    return made


def test_it_goes_from_step_to_step_and_writes_how_it_has_ended(server: Server) -> None:
    server.until(lambda: server.ended is not None)
    assert server.gives == {"v1": 0, "v2": 100}
    assert server.kinds[-4:] == [Kind.STARTED, Kind.ADVANCED, Kind.ADVANCED, Kind.FINISHED]
    server.looks()
    assert json.loads(server.files["shop.yaml"])["spec"]["default"][1]["weight"] == 100
    server.looks(100)
    assert (server.gives, server.ended) == ({"v1": 0, "v2": 100}, Ended.FINISHED)
    assert len(server.kinds) == 4


def test_time_counts_only_while_it_is_live_and_somebody_looks(server: Server) -> None:
    server.until(lambda: server.step == 1)
    server.live = False
    for _ in range(20):
        server.looks()
    assert server.step == 1
    assert "not live" in server.because
    server.live = True
    server.looks(3600)
    assert server.step == 2
    server.looks(0.5)
    assert server.step == 2, "an hour in which nobody looked is five seconds, of one step"


def test_what_is_worse_is_rolled_back_pinned_and_stays_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD)
        server.until(lambda: server.step == 1)
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 30)))
        assert (server.ended, server.gives) == (Ended.ROLLED_BACK, {"v1": 100, "v2": 0})
        last = server.history[-1]
        assert (last.kind, last.word.who) == (Kind.ROLLED_BACK, "rollout")
        assert last.numbers["default.errors.canary.bad"] >= 30
        server.steering.unpin(SHOP_REF, ADA)
        server.looks(100)
        assert server.gives == {"v1": 100, "v2": 0}
        with pytest.raises(CannotSteer, match="is at step"):
            server.asked.promote(SHOP_REF, 0, ADA)
        server.asked.promote(SHOP_REF, server.step, ADA)
        assert (server.step, server.ended, server.gives) == (1, None, {"v1": 90, "v2": 10})
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 1)))
        assert server.ended == Ended.FINISHED, "what was learnt in the first attempt holds no more"


def test_a_pinned_one_begins_again_if_it_is_promoted_unless_its_record_has_changed(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store)
        server.until(lambda: server.step == 2)
        server.steering.rollback(SHOP_REF, None, ADA)
        assert (server.gives, server.ended) == ({"v1": 100, "v2": 0}, Ended.ROLLED_BACK)
        server.asked.promote(SHOP_REF, 2, ADA)
        assert server.gives == {"v1": 90, "v2": 10}
        assert not server.control.admission.pins
        server.steering.rollback(SHOP_REF, None, ADA)
        server.hears(shop(v1=80))
        with pytest.raises(CannotSteer, match="says something else by now"):
            server.asked.promote(SHOP_REF, 1, ADA)
        assert server.control.admission.pins


def test_a_rollback_after_it_has_ended_takes_back_all_of_it(server: Server) -> None:
    server.until(lambda: server.ended is not None)
    server.looks()
    server.steering.rollback(SHOP_REF, None, ADA)
    assert server.gives == {"v1": 100, "v2": 0}


def test_a_hand_that_takes_back_what_the_guard_took_back_a_moment_before_gives_it_to_nobody(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD)
        server.until(lambda: server.step == 2)
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 30)))
        with pytest.raises(CannotSteer, match=r"was taken back already, .* by rollout: it gives v1 100 %"):
            server.steering.rollback(SHOP_REF, None, ADA)
        assert server.gives == {"v1": 100, "v2": 0}


def test_a_canary_without_a_healthy_instance_is_hopeless(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10, "for": "1h"}], guard=GUARD)
        server.judging.dead = True
        server.until(lambda: server.ended is not None)
        assert "v2 has no healthy instance" in server.history[-1].word.why


def test_an_audience_that_is_worse_is_moved_and_the_default_goes_on(tmp_path: Path) -> None:
    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD, audiences=[early])
        bad = Flush(v1=(900, 9), v2=(100, 1), v2_early=(20, 15))
        server.until(lambda: Kind.MOVED in server.kinds, bad)
        assert [each.audience for each in server.control.admission.moved[SHOP_REF]] == ["early"]
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 1)))
        assert server.kinds.count(Kind.MOVED) == 1
        server.steering.unpin(SHOP_REF, ADA)
        assert not server.control.admission.moved


def test_who_waits_says_so_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10}, {"gate": "qa"}, {"to": 100}])
        for _ in range(20):
            server.looks()
        assert server.kinds[-3:] == [Kind.STARTED, Kind.ADVANCED, Kind.GATE]
        with pytest.raises(CannotSteer, match="its gates: qa"):
            server.asked.approve(SHOP_REF, "ops", ADA)
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.until(lambda: server.ended is not None)


def test_what_was_worse_once_is_held_until_somebody_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, guard={"errors": {"maxRatio": 1.5}, "onWorse": "hold", "onUnknown": "advance"})
        server.until(lambda: server.step == 1)
        server.looks(0.5, Flush(v1=(3_600, 36), v2=(400, 32)))
        for _ in range(60):
            server.looks(0.5, Flush(v1=(900, 9), v2=(100, 0)))
        assert server.step == 1
        assert server.because.startswith("worse: errors: 32 of 400")
        assert server.kinds[-2:] == [Kind.STARTED, Kind.HELD]
        server.asked.promote(SHOP_REF, 1, ADA)
        assert server.step == 2


def test_while_both_fail_it_stays_where_it_is(tmp_path: Path) -> None:
    """Also one that was safe: it may be the canary that does it to both."""
    well, outage = Flush(v1=(900, 2), v2=(100, 0)), Flush(v1=(900, 890), v2=(100, 99))
    with opened(tmp_path) as store:
        guard = {"errors": {"maxRatio": 1.5, "floor": 2}}
        server = began(store, steps=[{"to": 10, "for": "2m", "need": "safe"}, {"to": 100, "for": "4s"}], guard=guard)
        server.until(lambda: server.step == 1)
        for flush, verdict in ((well, "safe"), (outage, "unknown")):
            for _ in range(200):
                server.looks(0.5, flush)
            report = server.asked.report(SHOP_REF)
            assert report is not None
            assert [each.verdict for each in report.verdicts] == [verdict]
        for _ in range(200):
            server.looks(0.5, outage)
        assert server.step == 1
        assert server.because.endswith("but now 99% of all requests fail, of both")
        assert server.kinds[-1] is Kind.HELD
        server.until(lambda: server.step == 2, well)


def test_who_waits_now_for_one_thing_and_now_for_another_says_each_once(tmp_path: Path) -> None:
    steps = [{"to": 10}, {"gate": "qa"}, {"to": 100}]
    with opened(tmp_path) as store:
        server = began(store, steps=steps)
        server.until(lambda: server.step == 2)
        good = server.files["shop.yaml"]
        for _ in range(5):
            for text in (good, good.replace('"v2"', '"v9"')):
                server.hears({"shop.yaml": text})
                server.looks()
        assert server.kinds[-2:] == [Kind.GATE, Kind.HELD]


def test_a_pause_keeps_it_and_a_promotion_does_not_wait(server: Server) -> None:
    server.until(lambda: server.step == 1)
    server.asked.pause(SHOP_REF, ADA)
    with pytest.raises(CannotSteer, match="paused already"):
        server.asked.pause(SHOP_REF, ADA)
    for _ in range(30):
        server.looks()
    assert server.step == 1
    server.asked.promote(SHOP_REF, 1, ADA)
    assert server.step == 2
    server.asked.resume(SHOP_REF, ADA)
    with pytest.raises(CannotSteer, match="not paused"):
        server.asked.resume(SHOP_REF, ADA)
    server.asked.promote(SHOP_REF, 2, ADA)
    server.asked.promote(SHOP_REF, 3, ADA)
    assert server.ended == Ended.FINISHED
    with pytest.raises(CannotSteer, match="has finished"):
        server.asked.promote(SHOP_REF, 3, ADA)


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


def test_with_an_empty_state_the_records_weights_serve_until_somebody_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, {**SHOP, **shop(v1=70)})
        for _ in range(10):
            server.looks()
        assert (server.step, server.gives) == (0, {"v1": 70, "v2": 30})
        assert len(server.problems(Reason.ROLLOUT_UNKNOWN)) == 1
        server.asked.resume(SHOP_REF, ADA)
        assert not server.problems(Reason.ROLLOUT_UNKNOWN)
        server.looks()
        assert server.step == 2


def test_with_an_empty_state_a_folder_that_is_filled_later_is_not_believed_to_be_new(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, {})
        server.hears({**SHOP, **shop(v1=70)})
        for _ in range(10):
            server.looks()
        assert (server.step, server.gives) == (0, {"v1": 70, "v2": 30})
        assert len(server.problems(Reason.ROLLOUT_UNKNOWN)) == 1


def test_a_lost_state_does_not_undo_what_has_finished(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as store:
        server = began(store)
        server.until(lambda: server.ended is not None)
        server.looks()
        files = server.files
    with opened(tmp_path / "two") as store:
        server = Server(store, files)
        for _ in range(10):
            server.looks()
        assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})
        assert not server.problems(Reason.ROLLOUT_UNKNOWN)


def test_a_record_that_cannot_be_written_is_said_until_it_can(server: Server) -> None:
    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.looks()
    assert server.problems(Reason.ROLLOUT_NOT_WRITTEN) == [
        "the rollout has finished, and its record does not say so: the folder is mounted"
    ]
    assert server.gives == {"v1": 0, "v2": 100}
    server.refuses = ""
    server.looks(61)
    server.looks()
    assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)
    assert json.loads(server.files["shop.yaml"])["spec"]["default"][1]["weight"] == 100


def test_a_clock_that_is_put_back_does_not_keep_a_record_from_being_written(server: Server) -> None:
    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.looks()
    server.jumped, server.refuses = -timedelta(days=1), ""
    server.looks(61)
    server.looks()
    assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)


def test_what_is_stopped_stays_where_its_record_says(server: Server, tmp_path: Path) -> None:
    server.until(lambda: server.step == 1)
    sets(server, Writer(kept(tmp_path / "records", server.files)))
    for _ in range(30):
        server.looks()
    assert (server.ended, server.gives) == (Ended.STOPPED, {"v1": 40, "v2": 60})


class Refusing(Writer):
    """Somebody else writes the file just before it is put in place."""

    @contextmanager
    @override
    def prepared(self, changes: Sequence[FileChange]) -> Iterator[Callable[[], None]]:
        def commit() -> None:
            raise FileNotWritten("shop.yaml was changed meanwhile: look again", conflict=True)

        with super().prepared(changes):
            yield commit


def sets(server: Server, writer: Writer) -> Event:
    writing = Writing(server.control, writer, server.asked)
    return asyncio.run(writing.set(SHOP_REF, {V2: 6_000}, ADA, "", stop_rollout=True))


def kept(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_what_is_not_set_stops_nothing(server: Server, tmp_path: Path) -> None:
    server.until(lambda: server.step == 1)
    with pytest.raises(CannotSteer, match="was changed meanwhile"):
        sets(server, Refusing(kept(tmp_path / "records", server.files)))
    server.looks()
    assert (server.ended, server.step, server.gives) == (None, 1, {"v1": 90, "v2": 10})

    # Nor does what was refused hold for who writes the same by hand later: that begins another rollout.
    server.hears(shop(v1=40))
    server.until(lambda: server.step == 3)
    assert Kind.STOPPED not in server.kinds


class TakingBack(Writer):
    """The guard takes it back while the text is brought to the disk."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder)
        self.server = server

    @contextmanager
    @override
    def prepared(self, changes: Sequence[FileChange]) -> Iterator[Callable[[], None]]:
        with super().prepared(changes) as commit:
            self.server.steering.rollback(SHOP_REF, V1, ADA)
            yield commit


def test_what_is_taken_back_meanwhile_is_not_set(server: Server, tmp_path: Path) -> None:
    server.until(lambda: server.step == 1)
    folder = kept(tmp_path / "records", server.files)
    with pytest.raises(CannotSteer, match="is pinned since"):
        sets(server, TakingBack(folder, server))
    assert (folder / "shop.yaml").read_text() == server.files["shop.yaml"]
    assert (server.ended, server.gives) == (Ended.ROLLED_BACK, {"v1": 100, "v2": 0})


@pytest.mark.parametrize("dies_at", [None, *range(2, 8)])
def test_to_stop_it_and_to_set_what_it_gives_is_one_decision(tmp_path: Path, dies_at: int | None) -> None:
    """Whatever write it is killed before or after: between the two there is the file."""
    with opened(tmp_path) as store:
        server = began(store)
        server.until(lambda: server.step == 1)
    folder = kept(tmp_path / "records", server.files)
    with opened(tmp_path, Mortal) as store:
        assert isinstance(store, Mortal)
        store.arm(0)
        server = Server(store, dict(server.files))
        store.arm(dies_at or 0)
        with pytest.raises(Killed) if dies_at else nullcontext():
            sets(server, Writer(folder))
    with opened(tmp_path) as store:
        again = Server(store, {each.name: each.read_text() for each in folder.iterdir()})
        again.looks()
        if "60" in again.files["shop.yaml"]:
            assert (again.ended, again.gives) == (Ended.STOPPED, {"v1": 40, "v2": 60})
            stopped = again.history[-1]
            assert (stopped.kind, stopped.word) == (Kind.STOPPED, ADA)
            assert stopped.what == "rollout stopped; default: v1 90 %, v2 10 % -> v1 40 %, v2 60 %"
        else:
            assert dies_at in range(2, 6)
            assert (again.ended, again.gives) == (None, {"v1": 90, "v2": 10})
            again.until(lambda: again.ended is not None)
            assert again.ended == Ended.FINISHED


def test_a_change_of_what_it_is_about_begins_anew(server: Server) -> None:
    server.until(lambda: server.step == 2)
    server.hears(shop(steps=[{"to": 20, "for": "1h"}, {"to": 100}]))
    assert server.gives == {"v1": 100, "v2": 0}
    server.until(lambda: server.step == 1)
    assert server.gives == {"v1": 80, "v2": 20}


def test_a_record_that_cannot_be_written_for_long_keeps_nobody_from_being_looked_at(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        goes_on.wait(60)

    async def looked_at() -> None:
        try:
            async with asyncio.TaskGroup() as tasks, asyncio.timeout(30):
                working = tasks.create_task(server.rollouts.work())
                assert await asyncio.to_thread(hangs.wait, 5)
                server.judging.asked.clear()
                await server.judging.asked.wait()
                working.cancel()
        finally:
            goes_on.set()

    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.writes = hang
    server.now += 61
    monkeypatch.setattr(rollouts, "LOOKED", 0.001)
    asyncio.run(looked_at())


def test_those_that_run_do_not_wait_until_all_that_are_new_have_begun(server: Server) -> None:
    server.until(lambda: server.step == 1)
    new: dict[str, str] = {}
    for app in [f"a{each}" for each in range(25)]:
        versions = [deployment(f"{app}-{name}", app=app, version=name) for name in ("v1", "v2")]
        shares = [{"deployment": f"{app}-v1", "weight": 100}, {"deployment": f"{app}-v2", "weight": 0}]
        rolling = release(app, f"{app}.test", app=app, default=shares, rollout={"steps": STEPS})
        new[f"{app}.yaml"] = documents(build(app, app=app), *versions, rolling)
    server.hears(new)
    begun = []
    for _ in range(3):
        server.looks(2)
        begun.append(len(server.control.admission.steered) - 1)
    assert begun == [10, 20, 25]
    assert server.step == 2


BRANCH = {
    **SHOP,
    "v2.yaml": deployment("v2", "b2", version=None),
    "more.yaml": documents(build("web-3", "b3"), build("web-4", "b4")),
}
NEEDS = [{"to": 10, "need": "safe"}, {"gate": "qa"}, {"to": 50, "need": "safe"}, {"to": 100}]


def test_other_builds_of_the_canary_are_judged_anew(tmp_path: Path) -> None:
    guard, well = {"errors": {"maxRatio": 1.5, "floor": 2}}, Flush(v1=(900, 9), v2=(1000, 1))
    with opened(tmp_path) as store:
        server = Server(store, dict(BRANCH))
        server.hears(shop(steps=NEEDS, guard=guard))
        server.until(lambda: server.step == 2, well)
        server.hears({"v2.yaml": deployment("v2", "b3", version=None)})
        server.looks(0.5, well)
        [anew] = server.said(Kind.ANEW)
        assert (anew.what, anew.word.who) == ("judged anew at step 2 of 4; nothing moves", "rollout")
        assert anew.word.why.endswith(": web of v2 (b3, was b2)")
        assert anew.numbers["default.errors.canary.bad"] == 2
        files, now = dict(server.files), server.now
    with opened(tmp_path) as store:
        server = Server(store, files, now)
        server.looks(0.5, well)
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.looks(0.5)
        assert server.step == 3
        for _ in range(10):
            server.looks(0.5, well)
        assert "0 of 0" in server.because, "flushes that may be of the builds before are nobody's"
        for _ in range(30):
            server.looks()
        assert server.step == 3, "what was learnt of other builds is forgotten, also by the server that comes after"
        server.until(lambda: server.step == 4, well)
        assert len(server.said(Kind.ANEW)) == 1


def test_an_approval_and_what_was_worse_are_of_the_builds_that_ran(tmp_path: Path) -> None:
    steps = [{"to": 10}, {"gate": "qa"}, {"to": 100}]
    with opened(tmp_path) as store:
        server = Server(store, dict(BRANCH))
        server.hears(shop(steps=steps, guard={"errors": {"maxRatio": 1.5}, "onWorse": "hold"}))
        server.until(lambda: server.step == 2)
        server.looks(0.5, Flush(v1=(3_600, 36), v2=(400, 32)))
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.looks()
        assert server.because.startswith("worse")
        server.hears({"v2.yaml": deployment("v2", "b3", version=None)})
        for _ in range(4):
            server.looks()
        assert (server.step, server.because) == (2, "waits for the word of qa")
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.until(lambda: server.ended is not None)
        assert server.ended == Ended.FINISHED


def test_other_builds_of_stable_are_judged_anew_and_what_else_is_edited_is_not(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, {**BRANCH, "v1.yaml": deployment("v1", "b1", version=None)})
        server.hears(shop(steps=[{"to": 10}, {"gate": "qa"}]))
        server.until(lambda: server.step == 2)
        slow = {"web": {"build": "b2", "routes": ROUTES, "policy": {"timeout": "20s"}}}
        server.hears({"more.yaml": build("web-3", "b3"), "v2.yaml": deployment("v2", version=None, components=slow)})
        assert not server.control.problems or server.problems(Reason.MUTABLE_RELEASED)
        server.looks()
        assert Kind.ANEW not in server.kinds
        server.hears({"v1.yaml": deployment("v1", "b3", version=None)})
        server.looks()
        assert [each.word.why[-22:] for each in server.said(Kind.ANEW)] == ["web of v1 (b3, was b1)"]


def test_builds_that_change_while_no_server_runs_are_judged_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, dict(BRANCH))
        server.hears(shop(steps=[{"to": 10}, {"gate": "qa"}]))
        server.until(lambda: server.step == 2)
        files, now = dict(server.files), server.now
    with opened(tmp_path) as store:
        server = Server(store, {**files, "v2.yaml": deployment("v2", "b4", version=None)}, now)
        server.looks()
        assert [each.word.why[-22:] for each in server.said(Kind.ANEW)] == ["web of v2 (b4, was b2)"]


def test_where_the_canary_has_everything_nobody_waits_for_what_cannot_come(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        steps = [{"to": 10}, {"to": 100, "for": "4s"}]
        server = began(store, steps=steps, guard={"errors": {"maxRatio": 1.5}}, rollout={"maxHold": "10s"})
        server.until(lambda: server.step == 2, Flush(v1=(90, 0), v2=(10, 0)))
        server.until(lambda: server.ended is not None, Flush(v2=(100, 0)))
        assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})
        assert "where nothing is left to compare it with" in server.history[-1].word.why


def test_it_takes_nothing_from_a_canary_that_has_a_share_already(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, v1=70)
        server.until(lambda: server.step == 2)
        assert server.gives == {"v1": 50, "v2": 50}
        assert server.history[-1].what.startswith("step 2 of 3 (past 1: the record gives v2 30 % already); ")
        report = server.asked.report(SHOP_REF)
        assert report is not None
        assert report.steps[0] == "to 10 % for 4s, passed over: v2 has more already"
        server.steering.rollback(SHOP_REF, None, ADA)
        server.asked.promote(SHOP_REF, 2, ADA)
        assert server.gives == {"v1": 50, "v2": 50}
        server.asked.promote(SHOP_REF, 2, ADA)
        server.asked.promote(SHOP_REF, 3, ADA)
        assert server.ended == Ended.FINISHED


def test_a_canary_that_has_more_than_its_last_step_keeps_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, v1=0, steps=[{"to": 5, "for": "1h"}, {"gate": "qa"}, {"to": 50}])
        for _ in range(4):
            server.looks()
        assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})
        assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)


def test_a_release_without_one_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, dict(SHOP))
        server.looks()
        assert server.asked.report(SHOP_REF) is None
        with pytest.raises(CannotSteer, match="has no rollout"):
            server.asked.pause(SHOP_REF, ADA)
        with pytest.raises(CannotSteer, match="no Release nobody is in force"):
            server.asked.report(Ref("default", "nobody"))
        server.asked.stop(SHOP_REF, ((V1, 10_000),), ADA)
        assert not server.kinds


def test_what_a_held_back_record_says_is_not_written_over_and_the_rollout_waits(server: Server) -> None:
    server.until(lambda: server.step == 2)
    wanted = release("shop", "shop.test", default=[{"deployment": "v2"}, {"deployment": "v9", "weight": 0}])
    server.hears({"shop.yaml": wanted})
    for _ in range(40):
        server.looks()
    assert (server.step, server.gives) == (2, {"v1": 50, "v2": 50})
    assert "says something else" in server.because
    assert server.files["shop.yaml"] == wanted


def test_a_rollback_after_gates_and_words_takes_back_all_of_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10}, {"gate": "qa"}, {"to": 50, "for": "1h"}, {"to": 100}])
        server.until(lambda: server.step == 2)
        server.looks()
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.until(lambda: server.step == 3)
        server.asked.promote(SHOP_REF, 3, ADA)
        server.until(lambda: server.ended is not None)
        server.looks()
        server.steering.rollback(SHOP_REF, None, ADA)
        assert server.gives == {"v1": 100, "v2": 0}


def test_what_has_finished_is_not_written_once_it_was_taken_back(server: Server) -> None:
    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.looks()
    server.steering.rollback(SHOP_REF, V1, ADA)
    server.refuses = ""
    server.looks(100)
    assert server.ended == Ended.ROLLED_BACK
    assert json.loads(server.files["shop.yaml"])["spec"]["default"][1]["weight"] == 0
    assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)


def test_what_is_set_to_what_the_record_says_is_in_force(server: Server) -> None:
    server.until(lambda: server.step == 2)
    server.asked.stop(SHOP_REF, ((V1, 10_000), (V2, 0)), ADA)
    assert (server.ended, server.gives) == (Ended.STOPPED, {"v1": 100, "v2": 0})
    assert server.history[-1].after == ((V1, 10_000),)


def test_an_audience_that_somebody_gives_back_is_not_moved_again(tmp_path: Path) -> None:
    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10, "for": "1h"}], guard=GUARD, audiences=[early])
        bad = Flush(v1=(900, 9), v2=(100, 1), v2_early=(20, 15))
        server.until(lambda: Kind.MOVED in server.kinds, bad)
        assert server.problems(Reason.PINNED)[0].startswith("audience early gets v1, whatever it says, since 2026")
        server.steering.unpin(SHOP_REF, ADA)
        for _ in range(5):
            server.looks(0.5, bad)
        assert not server.control.admission.moved
        assert not server.problems(Reason.PINNED)


def test_a_pause_does_not_count_as_being_held(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10}, {"gate": "qa"}, {"to": 100}], rollout={"maxHold": "10s"})
        server.until(lambda: server.step == 2)
        server.asked.pause(SHOP_REF, ADA)
        for _ in range(60):
            server.looks()
        server.asked.resume(SHOP_REF, ADA)
        server.looks()
        assert server.ended is None
        server.until(lambda: server.ended is not None)
        assert server.ended == Ended.ROLLED_BACK


def test_a_freeze_in_its_record_does_not_count_as_being_held(tmp_path: Path) -> None:
    steps = [{"to": 10}, {"gate": "qa"}, {"to": 100}]
    with opened(tmp_path) as store:
        server = began(store, steps=steps, rollout={"maxHold": "10s"})
        server.until(lambda: server.step == 2)
        server.hears(shop(steps=steps, rollout={"maxHold": "10s", "freeze": True}))
        for _ in range(60):
            server.looks()
        assert server.ended is None
        server.hears(shop(steps=steps, rollout={"maxHold": "10s"}))
        server.until(lambda: server.ended is not None)
        assert server.ended == Ended.ROLLED_BACK


def test_what_is_not_live_for_long_is_said(server: Server) -> None:
    server.live = False
    for _ in range(80):
        server.looks()
    assert server.kinds[-2:] == [Kind.STARTED, Kind.HELD]
    assert "not live" in server.history[-1].word.why


def test_who_was_killed_before_an_unknown_one_was_known_still_does_not_let_it_begin(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        Server(store, {**SHOP, **shop(v1=70)})
    for _ in range(2):
        with opened(tmp_path) as store:
            server = Server(store, {**SHOP, **shop(v1=70)})
            for _ in range(10):
                server.looks()
            assert (server.step, server.gives) == (0, {"v1": 70, "v2": 30})
            assert len(server.problems(Reason.ROLLOUT_UNKNOWN)) == 1


WELL = Flush(v1=(90, 1), v2=(10, 0))


def test_whenever_it_is_killed_no_step_is_taken_twice_and_history_shows_every_change(tmp_path: Path) -> None:
    """Before and after every write, and between the record and the state."""
    died = 0
    for dies_at in range(2, 400):
        folder = tmp_path / str(dies_at)
        with opened(folder) as store:
            files = began(store, guard=GUARD).files
        killed = _runs(folder, files, dies_at)
        _runs(folder, files, 0)
        with opened(folder) as store:
            server = Server(store, files)
            assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100}), dies_at
            moves = [each for each in server.history if each.before != each.after]
            steps = [
                each.what.partition(";")[0] for each in server.history if each.kind in (Kind.STARTED, Kind.ADVANCED)
            ]
            assert steps == ["step 1 of 3", "step 2 of 3", "step 3 of 3"], dies_at
            assert [dict(each.after).get(V2) for each in moves][-3:] == [1_000, 5_000, 10_000], dies_at
            assert json.loads(files["shop.yaml"])["spec"]["default"][1]["weight"] == 100
        died += killed
        if not killed:
            break
    assert died > 20, "it was killed at many points"


def _runs(folder: Path, files: dict[str, str], dies_at: int) -> bool:
    """Until it has ended, or is killed: then what is in force is what the history says last."""
    with opened(folder, Mortal) as store:
        assert isinstance(store, Mortal)
        store.arm(dies_at)
        try:
            server = Server(store, files)
            server.until(lambda: server.ended is not None, WELL)
            server.looks()
            server.looks()
        except* Killed:
            killed = True
        else:
            killed = False
    with opened(folder) as store:
        again = Server(store, dict(files))
        moves = [((V1, 10_000),), *(each.after for each in again.history if each.after)]
        assert {each.name: weight / 100 for each, weight in moves[-1]} == {
            name: weight for name, weight in again.gives.items() if weight
        }
    return killed


def test_evidence_and_time_outlive_the_server(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10, "for": "1h"}], guard=GUARD)
        for _ in range(9):
            server.looks(0.5, WELL)
        before = server.rollouts.standing(SHOP_REF)
    with opened(tmp_path) as store:
        server = Server(store, {**SHOP, **shop(steps=[{"to": 10, "for": "1h"}], guard=GUARD)}, now=clock().timestamp())
        server.judging.said = []
        after = server.rollouts.standing(SHOP_REF)
    assert before is not None
    assert after is not None
    assert after.watched == before.watched
    assert after.steered.progress.stayed == before.steered.progress.stayed > timedelta(seconds=3)


class Ailing(Store):
    """Cannot be written some of the times."""

    writes = 0
    ails = range(0)

    @override
    def save(
        self, upserts: Iterable[Row], deletes: Iterable[tuple[str, str, str]], history: Sequence[Event] = ()
    ) -> None:
        self.writes += 1
        if self.writes in self.ails:
            raise StateUnwritable("full")
        super().save(upserts, deletes, history)


@pytest.mark.parametrize("lasts", [1, 9])
def test_whenever_it_cannot_be_written_no_step_is_taken_unwritten_and_none_is_lost(tmp_path: Path, lasts: int) -> None:
    """For so many writes, from each write on."""
    for since in range(1, 60, lasts):
        with opened(tmp_path / str(since), Ailing) as store:
            assert isinstance(store, Ailing)
            server = began(store, guard=GUARD)
            store.writes, store.ails = 0, range(since, since + lasts)
            for _ in range(100):
                if server.ended is not None:
                    break
                server.looks(0.5, WELL)
                moves = [((V1, 10_000),), *(each.after for each in server.history if each.after)]
                assert {each.name: weight / 100 for each, weight in moves[-1]} == {
                    name: weight for name, weight in server.gives.items() if weight
                }
                server.control.catch_up()
            assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100}), since
            kinds = [each for each in server.kinds if each in (Kind.STARTED, Kind.ADVANCED, Kind.FINISHED)]
            assert kinds == [Kind.STARTED, Kind.ADVANCED, Kind.ADVANCED, Kind.FINISHED], since
            if store.writes < since:
                break
            store.ails = range(0)
            store.catch_up()
    with opened(tmp_path / "1") as kept:
        again = Server(kept, server.files)
        assert (again.ended, again.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})


def test_what_is_worse_is_taken_back_once_that_can_be_written(tmp_path: Path) -> None:
    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD, audiences=[early])
        server.until(lambda: server.step == 2)
        with full(store):
            for _ in range(10):
                server.looks(0.5, Flush(v1=(900, 9), v2=(100, 30), v2_early=(20, 15)))
            assert (server.ended, server.gives) == (None, {"v1": 50, "v2": 50})
            assert SHOP_REF not in server.control.admission.moved
            for act in (
                lambda: server.steering.rollback(SHOP_REF, None, ADA),
                lambda: server.asked.pause(SHOP_REF, ADA),
                lambda: server.asked.promote(SHOP_REF, 2, ADA),
                lambda: server.asked.freeze(server.clock() + timedelta(hours=1), ADA),
            ):
                with pytest.raises(StateUnwritable):
                    act()
        assert server.asked.frozen().until is None
        server.looks()
        assert (server.ended, server.gives) == (Ended.ROLLED_BACK, {"v1": 100, "v2": 0})
        assert server.kinds[-2:] == [Kind.MOVED, Kind.ROLLED_BACK]


def test_one_that_cannot_begin_again_now_can_later(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store)
        server.until(lambda: server.step == 2)
        server.steering.rollback(SHOP_REF, None, ADA)
        with full(store), pytest.raises(StateUnwritable):
            server.asked.promote(SHOP_REF, 2, ADA)
        assert (server.gives, server.ended) == ({"v1": 100, "v2": 0}, Ended.ROLLED_BACK)
        server.asked.promote(SHOP_REF, 2, ADA)
        assert server.gives == {"v1": 90, "v2": 10}


def test_who_waits_says_so_once_it_can_be_written(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"gate": "qa"}, {"to": 100}])
        server.until(lambda: server.step == 1)
        with full(store):
            for _ in range(5):
                server.looks()
        for _ in range(5):
            server.looks()
        assert server.kinds.count(Kind.GATE) == 1
