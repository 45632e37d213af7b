"""A freeze of every rollout: they stay where they are until it is over. What is worse is rolled back all the same."""

from collections.abc import Callable, Iterable
from datetime import datetime

import structlog

from xds_server.difference.history import Word
from xds_server.difference.steering import CannotSteer
from xds_server.records.saved import Row
from xds_server.rollout import Frozen
from xds_server.state.store import Store
from xds_server.state.watched import FREEZE, frozen_in, frozen_row

log = structlog.get_logger()


class Freezing:
    """Outlives the server. `rows`: what is remembered."""

    def __init__(self, store: Store, rows: Iterable[Row], clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._frozen = frozen_in(rows)

    @property
    def frozen(self) -> Frozen | None:
        """What keeps every rollout where it is."""
        found = self._frozen
        return found if found is not None and self._clock() < found.until else None

    def freeze(self, frozen: Frozen, word: Word) -> None:
        """Every rollout stays where it is. It can be rolled back all the same. Raises `CannotSteer`."""
        if frozen.until <= self._clock():
            raise CannotSteer(f"{frozen.until:%Y-%m-%dT%H:%M:%SZ} is over: write a later time")
        self._store.save([frozen_row(frozen)], ())
        self._frozen = frozen
        log.info("rollouts frozen", until=frozen.until.isoformat(), who=word.who, why=word.why)

    def unfreeze(self, word: Word) -> None:
        """Raises `CannotSteer`."""
        if self.frozen is None:
            raise CannotSteer("no rollout is frozen, but by `freeze` in its record")
        self._store.save((), [FREEZE])
        self._frozen = None
        log.info("rollouts may move again", who=word.who, why=word.why)
