"""The records of a running server, for those who ask."""

import asyncio
from collections.abc import Callable
from itertools import islice

from typing_extensions import override

from xds_server.api.inventory import ListedRecord, Records, record_report
from xds_server.difference.inventory import Item, Rollouts, Wanted, items, names_of, no_rollouts
from xds_server.difference.statuses import Status, StatusSaid, untold
from xds_server.domain.names import Ref
from xds_server.ledger.ledger import Ledger
from xds_server.records.admitted import Admission


class Inventory(Records):
    """What is looked for in a thread is frozen; the ledger is asked beside it.

    `waits_for`: what keeps gateways from being told of a release that is in force.
    """

    def __init__(
        self,
        admission: Callable[[], Admission],
        ledger: Callable[[], Ledger],
        waits_for: Callable[[Ref], str],
        rollouts: Rollouts = no_rollouts,
    ) -> None:
        self._admission = admission
        self._ledger = ledger
        self._waits_for = waits_for
        self._rollouts = rollouts

    @override
    async def page(self, which: Wanted, after: Ref | None, limit: int) -> list[ListedRecord]:
        admission = self._admission()
        names = await asyncio.to_thread(_names, admission, which, after, limit)
        rollouts = {name: self._rollouts(name) for name in names}
        found = await asyncio.to_thread(_items, admission, which.kind, names, rollouts.get)
        if which.kind != "Release":
            return [record_report(each) for each in found]
        ledger = self._ledger()
        return [record_report(self._as_told(each), ledger.entry(each.key.ref)) for each in found]

    def _as_told(self, item: Item) -> Item:
        status, because = untold(StatusSaid(Status(item.status), item.because), self._waits_for(item.key.ref))
        return item._replace(status=status.value, because=because)


def _names(admission: Admission, which: Wanted, after: Ref | None, limit: int) -> list[Ref]:
    following = (each for each in names_of(admission, which) if after is None or each > after)
    return list(islice(following, limit))


def _items(admission: Admission, kind: str, names: list[Ref], rollouts: Rollouts) -> list[Item]:
    return list(items(admission, kind, names, rollouts))
