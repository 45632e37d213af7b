"""How far a content of a release has come, as data: what the server says and commands read."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from xds_server.domain.names import Ref
from xds_server.ledger.content import short
from xds_server.ledger.entry import Entry, Holder, ProxyState, State


class Verdict(StrEnum):
    """What came of waiting. `pending`: nothing, within the time that was given."""

    LIVE = "live"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    NO_PROXIES = "no proxies"
    PENDING = "pending"


class Said(BaseModel):
    """What the server says, with names as JSON has them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class ProxyReport(Said):
    """What one proxy did with a content."""

    proxy: str
    gateway: str
    state: ProxyState
    why: str = ""


class EntryReport(Said):
    """One content of a release. Of what has ended, `proxies` names only those that kept it from being live."""

    number: int = Field(description="Orders the entries of a server, and stays when it restarts.")
    release: str
    content: str
    state: State
    status: str = Field(description="Such as: 38 of 40 accepted, 1 pending, 1 refused: <reason>.")
    refusal: str = Field(description="Which record is refused and why, if that keeps it from being live now.")
    counts: Mapping[str, int] = Field(description="Proxies by what they did with it.")
    accepted: datetime = Field(description="When it came into force.")
    first_ack: datetime | None = Field(description="When a proxy first accepted a resource that carries it.")
    last_ack: datetime | None = Field(description="When one last did, until it was live.")
    live: datetime | None = Field(description="When every connected holder had accepted it.")
    ended: datetime | None = Field(description="When it was replaced or removed.")
    note: str = Field(default="", description="What else became of it: proxies that others waited for in vain.")
    proxies: tuple[ProxyReport, ...] = ()


class ReleaseReport(Said):
    """A release: what is in force of it, and what came before, the newest first. `refused`: why records that are newer
    are held back."""

    release: str
    current: EntryReport | None
    refused: str
    entries: tuple[EntryReport, ...]


class Answer(Said):
    """What came of waiting for a content. `entry` is null as long as it has not come into force. `in_force`: what is in
    force of the release in its place."""

    verdict: Verdict
    why: str
    release: str
    content: str
    entry: EntryReport | None
    in_force: EntryReport | None = None


class Question(BaseModel):
    """What is waited for. Empty `content`: what is in force. `entry`: an entry that an earlier answer named; 0: none.

    `since`: when it was asked for, by writing a file: what was not in force any more by then is not it.
    """

    model_config = ConfigDict(frozen=True)

    release: Ref | None = None
    content: str = ""
    entry: int = 0
    since: datetime | None = None


def entry_report(entry: Entry, holders: list[Holder] | None = None) -> EntryReport:
    found = entry.summary
    named = found.named if holders is None else holders
    return EntryReport(
        number=entry.number,
        release=entry.release.word,
        content=entry.content,
        state=entry.state,
        status=found.words,
        refusal=entry.refusal,
        counts={to_camel(name): getattr(found, name) for name in map(str.lower, ProxyState.__members__)},
        accepted=entry.accepted,
        first_ack=entry.first_ack,
        last_ack=entry.last_ack,
        live=entry.live,
        ended=entry.ended,
        note=entry.note,
        proxies=tuple(ProxyReport(**each._asdict()) for each in named),
    )


def in_words(answer: Answer) -> str:
    """One line for people."""
    who = [f"release {answer.release}"] if answer.release else []
    who += [f"content {short(answer.content)}"] if answer.content else []
    other = answer.in_force
    end = "" if answer.why.endswith((".", "]")) else "."
    rest = f"{end} In force is content {short(other.content)}, {other.state}: {other.status}" if other else ""
    return f"{', '.join(who)}: {answer.verdict}: {answer.why}{rest}"
