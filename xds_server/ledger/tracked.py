"""A content that is in force, while it is not known to be live."""

from collections.abc import Sequence
from typing import Protocol

from xds_server.domain.names import Ref
from xds_server.ledger.entry import Entry
from xds_server.records.models import Release


class Owing(Protocol):
    """What a content may wait at."""

    def give_up(self, tracked: "Tracked") -> None:
        """Nobody waits for this content any more."""


class Tracked:
    """The entry of a content in force. `serial` is of the world that brought it; None until there is one that has it.

    `owed` are the carriers that not all of their holders have taken as this content wants them.
    """

    __slots__ = ("entry", "owed", "record", "serial")

    def __init__(self, entry: Entry, record: Release) -> None:
        self.entry = entry
        self.record = record
        self.serial: int | None = None
        self.owed: set[Owing] = set()

    @property
    def hosts(self) -> Sequence[str]:
        return self.record.spec.all_hosts

    @property
    def gateways(self) -> list[Ref]:
        return [self.record.refer(word) for word in self.record.spec.gateways]

    @property
    def open(self) -> bool:
        """It may still become live."""
        return self.entry.live is None and self.entry.end is None
