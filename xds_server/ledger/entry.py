"""One content of one release, from when it came into force: what the ledger keeps for good."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from xds_server.domain.names import Ref

NAMED = 20
"""Proxies that an entry names; the rest are counted."""
LONGEST = 400
"""Characters of a note."""


class ProxyState(StrEnum):
    """What one proxy did with a content. `sent`: it has not answered; `pending`: it has not been sent it yet."""

    ACCEPTED = "accepted"
    SENT = "sent"
    PENDING = "pending"
    REFUSED = "refused"
    NOT_LOADED = "not loaded"
    GONE = "gone"


class State(StrEnum):
    """How far a content has come. `superseded`: replaced before it was live; `replaced`: after."""

    LIVE = "live"
    PENDING = "pending"
    REFUSED = "refused"
    NO_PROXIES = "no proxies"
    SUPERSEDED = "superseded"
    REPLACED = "replaced"
    REMOVED = "removed"


class End(StrEnum):
    """Why a content is not in force any more."""

    REPLACED = "replaced"
    REMOVED = "removed"


class Holder(NamedTuple):
    """What one proxy did with a content, and why it has not accepted it."""

    proxy: str
    gateway: str
    state: ProxyState
    why: str = ""


OWED = (ProxyState.REFUSED, ProxyState.PENDING, ProxyState.SENT)
"""What keeps a content from being live, the worst first."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Proxies by what they did with a content. `named` are those that keep it from being live, as many as fit."""

    accepted: int = 0
    sent: int = 0
    pending: int = 0
    refused: int = 0
    not_loaded: int = 0
    gone: int = 0
    named: tuple[Holder, ...] = ()

    @property
    def holders(self) -> int:
        """Those that have it or shall have it."""
        return self.accepted + self.sent + self.pending + self.refused

    @property
    def owing(self) -> int:
        """Those that keep it from being live."""
        return self.sent + self.pending + self.refused

    @property
    def connected(self) -> int:
        return self.holders + self.not_loaded

    def __add__(self, other: "Summary") -> "Summary":
        counts = ("accepted", "sent", "pending", "refused", "not_loaded", "gone")
        total = {name: getattr(self, name) + getattr(other, name) for name in counts}
        return Summary(**total, named=_worst([*self.named, *other.named]))

    @property
    def words(self) -> str:
        """`38 of 40 accepted, 1 pending, 1 refused: <reason>`."""
        why = next((each.why for each in self.named if each.state is ProxyState.REFUSED), "")
        return f"{self.counted}: {why}" if self.refused else self.counted

    @property
    def counted(self) -> str:
        """`38 of 40 accepted, 1 pending, 1 refused`."""
        parts = [
            "" if self.connected else "no proxy is connected",
            f"{self.accepted} of {self.holders} accepted" if self.holders else "",
            f"{self.sent} sent" if self.sent else "",
            f"{self.pending} pending" if self.pending else "",
            f"{self.not_loaded} not loaded" if self.not_loaded else "",
            f"{self.gone} gone" if self.gone else "",
            f"{self.refused} refused" if self.refused else "",
        ]
        return ", ".join(filter(None, parts))


def _worst(holders: list[Holder]) -> tuple[Holder, ...]:
    return tuple(sorted(holders, key=lambda each: OWED.index(each.state))[:NAMED])


def summary(holders: list[Holder]) -> Summary:
    count = dict.fromkeys(ProxyState, 0)
    for each in holders:
        count[each.state] += 1
    return Summary(
        accepted=count[ProxyState.ACCEPTED],
        sent=count[ProxyState.SENT],
        pending=count[ProxyState.PENDING],
        refused=count[ProxyState.REFUSED],
        not_loaded=count[ProxyState.NOT_LOADED],
        gone=count[ProxyState.GONE],
        named=_worst([each for each in holders if each.state in OWED]),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """`number` orders the entries of a state directory. `summary` is of when it was live, ended, or was last saved.

    `first_ack` and `last_ack` are of resources that carry it: none, if no proxy had its hosts loaded.
    `refusal`: what is refused, by which record and why, and keeps it from being live now. It is not kept.
    `note`: what else became of it, such as proxies that others waited for in vain.
    """

    number: int
    release: Ref
    content: str
    accepted: datetime
    first_ack: datetime | None = None
    last_ack: datetime | None = None
    live: datetime | None = None
    ended: datetime | None = None
    end: End | None = None
    summary: Summary = field(default_factory=Summary)
    refusal: str = ""
    note: str = ""

    @property
    def state(self) -> State:
        if self.end is not None:
            if self.end is End.REMOVED:
                return State.REMOVED
            return State.REPLACED if self.live else State.SUPERSEDED
        if self.live:
            return State.LIVE
        if self.summary.refused or self.refusal:
            return State.REFUSED
        return State.PENDING if self.summary.connected else State.NO_PROXIES

    def ends(self, end: End, now: datetime) -> "Entry":
        return replace(self, end=end, ended=now, refusal="")
