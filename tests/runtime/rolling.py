"""Rollouts with a real store and control, a clock that is told, and flushes that are made up."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.records.folder import SHOP, release
from xds_server.difference.history import Event, Kind, Word
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.domain.statistics import Series
from xds_server.ledger.entry import Entry
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.records.reading import Batch, Readable
from xds_server.records.releases import Weights
from xds_server.records.saved import Row
from xds_server.rollout.watched import Past, nothing_past
from xds_server.runtime.control import Control
from xds_server.runtime.finishing import NotWritten
from xds_server.runtime.judging import Judging
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.promoting import AskedOfRollouts
from xds_server.runtime.rollouts import Rollouts, Shell
from xds_server.runtime.steering import Steering
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


WELL = Flush(v1=(90, 1), v2=(10, 0))


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
        self.steering = Steering(self.control, lambda: self.rollouts.freezing.frozen)
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


def began(store: Store, **spec: Any) -> Server:
    made = Server(store, dict(SHOP))
    made.hears(shop(**spec))
    return made
