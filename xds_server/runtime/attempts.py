"""What each attempt of a rollout is judged by: learnt at each look, and written after it, to outlive the server."""

import asyncio
from collections.abc import Container, Iterable

from xds_server.domain.names import Ref
from xds_server.records.saved import WATCHED, Row
from xds_server.rollout.watched import Watched
from xds_server.state.store import Store
from xds_server.state.watched import watched_in, watched_row

KEPT_AT_ONCE = 50
"""Rollouts in one transaction of what they are judged by: about two milliseconds."""


class Attempts:
    """The last one of each release. `rows`: what is remembered."""

    def __init__(self, store: Store, rows: Iterable[Row]) -> None:
        self._store = store
        self._watched = watched_in(rows)
        self._saved = dict(self._watched)

    def of(self, release: Ref) -> Watched | None:
        return self._watched.get(release)

    def learn(self, release: Ref, seen: Watched) -> None:
        """It is written later."""
        self._watched[release] = seen

    def written(self, release: Ref, seen: Watched) -> None:
        """It was written with something else, in one transaction."""
        self._watched[release] = self._saved[release] = seen

    async def keep(self, running: Iterable[Ref]) -> None:
        """What was learnt of those that run."""
        changed = [each for each in running if self._saved.get(each) is not self._watched.get(each)]
        for start in range(0, len(changed), KEPT_AT_ONCE):
            part = [each for each in changed[start : start + KEPT_AT_ONCE] if each in self._watched]
            self._store.save_late([watched_row(each, self._watched[each]) for each in part], ())
            self._saved.update({each: self._watched[each] for each in part})
            await asyncio.sleep(0)

    def sweep(self, releases: Container[Ref]) -> None:
        """Of others nothing is remembered."""
        gone = [each for each in self._watched if each not in releases]
        for each in gone:
            del self._watched[each]
            self._saved.pop(each, None)
        if gone:
            self._store.save_late((), [(WATCHED, *each) for each in gone])
