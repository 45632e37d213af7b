"""What is in force, what is wanted, and what keeps the two apart: frozen values."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.records.activation import Pending, pending_key, pending_row
from xds_server.records.claims import Claim
from xds_server.records.documents import Document, Key
from xds_server.records.kept import Kept, kept_row
from xds_server.records.models import Record
from xds_server.records.pins import Pin, pin_row
from xds_server.records.readiness import ASSUMED, Conditions
from xds_server.records.saved import KEPT, PIN, SECRET, STEERED, Row
from xds_server.records.secrets import Files, Use
from xds_server.records.steered import Moved, Steered, moved_row, steered_row
from xds_server.records.world import World

Name = TypeVar("Name", bound=Hashable)


def told(
    before: Map[Name, tuple[Problem, ...]], changes: Iterable[tuple[Name, tuple[Problem, ...]]]
) -> Map[Name, tuple[Problem, ...]]:
    """With these problems of each key; the same object if none of them is new."""
    after = before
    for key, problems in changes:
        if before.get(key, ()) != problems:
            after = after.set(key, problems) if problems else after.delete(key)
    return after


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """What a file said when it could last be read. `opaque`: it now says things of which nothing is known."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    opaque: bool = False

    @property
    def faults(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the file itself, and with each of its documents by itself."""
        return (*self.problems, *(problem for each in self.documents for problem in each.problems))

    @property
    def releases(self) -> int:
        return sum(1 for each in self.documents if each.key and each.key.kind == "Release")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A record in force. `content` is its canonical form."""

    record: Record
    content: str
    first_accepted: datetime


@dataclass(frozen=True, slots=True)
class Return:
    """A source that was empty or away comes back, file by file: how many records are `missing`, and until when it is
    waited for the next one."""

    missing: int
    until: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Keeping:
    """What keeps the secrets of the records in force. Their content is in the world.

    `files` are the PEM files as the source has them now. `uses` says which secrets a record names, `problems` what is
    wrong with them, `due` when to look at them again. `upserts` and `deletes` are what is to be saved.
    """

    files: Files = field(default_factory=Map)
    uses: Map[Key, tuple[Use, ...]] = field(default_factory=Map)
    problems: Map[Key, tuple[Problem, ...]] = field(default_factory=Map)
    due: Map[Key, datetime] = field(default_factory=Map)
    upserts: tuple[Row, ...] = ()
    deletes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """What is in force, what is wanted, and everything that keeps the two apart.

    `files` is what the source says now, `faults` what is wrong with each of them by itself. `keys` is which records of
    each file are wanted: not those of the files of `unread`, while the source is not believed. `origins` is the file
    that last spoke of a record, and `opaque` the files of which nothing is known now. `held` are the records whose
    wanted content is not in force. `touched` are the apps that differ from the admission before; `upserts` and
    `deletes` are what is to be saved before anyone is told of this one; `due` says when an audience of an app ends
    next. `returning` is how far a source that was not believed has come back. `pins` are the releases that stay as they
    are whatever is wanted of them, `steered` those with a rollout, `moved` those with audiences that were moved;
    `pinned` are those of them that are new, other or gone since the admission before.
    `kept` is what the history of each release can go back to; `remembered` are the releases of which that is other than
    before.
    `pending` are the releases that wait until what they give is ready, or did in vain; `waited` those of which that is
    to be saved; `conditions` are what else that depends on.
    """

    world: World = field(default_factory=World)
    in_force: Map[Key, Entry] = field(default_factory=Map)
    claims: Map[Claim, Ref] = field(default_factory=Map)
    wanted: Map[Key, tuple[Document, ...]] = field(default_factory=Map)
    files: Map[str, File] = field(default_factory=Map)
    faults: Map[str, tuple[Problem, ...]] = field(default_factory=Map)
    keys: Map[str, frozenset[Key]] = field(default_factory=Map)
    origins: Map[Key, str] = field(default_factory=Map)
    opaque: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    held: Map[Key, tuple[Problem, ...]] = field(default_factory=Map)
    warnings: Map[Ref, tuple[Problem, ...]] = field(default_factory=Map)
    source: tuple[Problem, ...] = ()
    returning: Return | None = None
    due: Map[Ref, datetime] = field(default_factory=Map)
    touched: frozenset[Ref] = frozenset()
    upserts: tuple[Row, ...] = ()
    deletes: tuple[Key, ...] = ()
    keeping: Keeping = field(default_factory=Keeping)
    pins: Map[Ref, Pin] = field(default_factory=Map)
    steered: Map[Ref, Steered] = field(default_factory=Map)
    moved: Map[Ref, tuple[Moved, ...]] = field(default_factory=Map)
    pinned: frozenset[Key] = frozenset()
    kept: Map[Ref, Kept] = field(default_factory=Map)
    remembered: tuple[Ref, ...] = ()
    pending: Map[Ref, Pending] = field(default_factory=Map)
    waited: tuple[Ref, ...] = ()
    conditions: Conditions = ASSUMED

    def asking(self, conditions: Conditions) -> "Admission":
        """The same, where releases depend on these."""
        return replace(self, conditions=conditions)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is to be kept in the state directory since the admission before."""
        held = (row for key in sorted(self.pinned, key=Key.order) if (row := self._row(key)) is not None)
        kept = (
            kept_row(ref, self.kept[ref], self.in_force[Key("Release", ref)].first_accepted)
            for ref in self.remembered
            if ref in self.kept
        )
        waiting = (pending_row(ref, self.pending[ref]) for ref in self.waited if ref in self.pending)
        return (*self.upserts, *self.keeping.upserts, *held, *kept, *waiting)

    def _row(self, key: Key) -> Row | None:
        if key.kind == PIN:
            return pin_row(key.ref, self.pins[key.ref]) if key.ref in self.pins else None
        if key.kind == STEERED:
            return steered_row(key.ref, self.steered[key.ref]) if key.ref in self.steered else None
        return moved_row(key.ref, self.moved[key.ref]) if key.ref in self.moved else None

    @property
    def forgotten(self) -> tuple[tuple[str, str, str], ...]:
        """What is to be taken out of the state directory: kind, namespace and name."""
        gone = (key for key in sorted(self.pinned, key=Key.order) if self._row(key) is None)
        active = (pending_key(ref) for ref in self.waited if ref not in self.pending)
        records = ((key.kind, *key.ref) for key in (*self.deletes, *gone, *active))
        forgotten = ((KEPT, *ref) for ref in self.remembered if ref not in self.kept)
        return (*records, *((SECRET, "", name) for name in self.keeping.deletes), *forgotten)

    @property
    def findings(self) -> set[Problem]:
        """Every problem there is."""
        parts = (self.faults, self.held, self.warnings, self.keeping.problems)
        return {*self.source, *(problem for part in parts for found in part.values() for problem in found)}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem there is, by place."""
        return tuple(sorted(self.findings))

    def has_problems_of(self, other: "Admission") -> bool:
        """No problem came or went since the other. Costs nothing: what did not change is the same object."""
        return (
            self.source == other.source
            and self.faults is other.faults
            and self.held is other.held
            and self.warnings is other.warnings
            and self.keeping.problems is other.keeping.problems
        )

    @property
    def waiting(self) -> Iterator[tuple[Ref, Pending]]:
        """The releases that wait until what they give is ready. After a restart nobody does before the first read."""
        return ((ref, pending) for ref, pending in self.pending.items() if self.waits(ref))

    def waits(self, release: Ref) -> bool:
        """Whether this one is among them."""
        found = self.pending.get(release)
        return found is not None and not found.failed and Key("Release", release) in self.held

    @property
    def wake_at(self) -> datetime | None:
        """When `tick` has something to do: an audience or a certificate ends, a source that came back is believed, a
        release has waited long enough.
        """
        waits = [self.returning.until] if self.returning else []
        waits += [each.until for _, each in self.waiting]
        return min([*self.due.values(), *self.keeping.due.values(), *waits], default=None)
