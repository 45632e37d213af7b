"""From what the sources say to what is in force.

Each record stands alone: if what a source says of it is broken, what it said before stays in force (*last good*),
the problem is shown, and every other record moves on. `admit` is a pure function from one `Admission` and a batch of
changed files to the next; it looks at the records that changed and at those that are held back, never at all of them.

A record is *held* while what is wanted of it is not in force. It is tried again with every batch, because what it
lacks may have come with another record.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.records.activation import pending_in
from xds_server.records.admitted import Admission, Entry, File, Keeping, Return, told
from xds_server.records.checks import release_findings
from xds_server.records.documents import Document, Key, Said, read_documents, restored
from xds_server.records.kept import Kept, kept_in
from xds_server.records.models import KINDS, Release
from xds_server.records.pins import Pin, pins_in
from xds_server.records.reading import RECORDS, Batch, Readable, Unreadable, is_pem
from xds_server.records.releases import Weights
from xds_server.records.renewal import aged, renewed
from xds_server.records.saved import KEPT, PIN, SECRET, Row
from xds_server.records.secrets import Secret, uses
from xds_server.records.secrets import restored as restored_secret
from xds_server.records.steered import Moved, Steered, moved_in, steered_in
from xds_server.records.turn import Turn
from xds_server.records.wants import may_be_in
from xds_server.records.yaml import YamlFault

Read = Callable[[str, str], tuple[Document, ...]]
"""The documents of a file, by its name and its text."""

PATIENCE = timedelta(seconds=1)
"""How long the next record of a source that comes back is waited for."""


def restore(rows: Iterable[Row], now: datetime) -> Admission:
    """What was in force when it was last saved. What today's rules refuse is left out, and what needs it."""
    rows = list(rows)
    pins: Map[Ref, Pin] = Map(pins_in(row for row in rows if row.kind == PIN))
    kept_before: Map[Ref, Kept] = Map(kept_in(row for row in rows if row.kind == KEPT))
    known = Admission(pins=pins, steered=Map(steered_in(rows)), moved=Map(moved_in(rows)), kept=kept_before)
    turn = Turn(known, now)
    secrets: dict[str, Secret] = {}
    releases: list[tuple[Key, Entry]] = []
    for row in rows:
        if row.kind == SECRET:
            secrets[row.name] = restored_secret(row.document)
            continue
        key = Key(row.kind, Ref(row.namespace, row.name))
        record = restored(key, row.document) if row.kind in KINDS else None
        if record is not None:
            entry = Entry(record, row.document, row.first_accepted)
            if isinstance(record, Release):
                releases.append((key, entry))
            else:
                turn.in_force.put(key, entry)
    turn.in_force.settle()
    for key, entry in releases:
        if isinstance(entry.record, Release) and not any(
            release_findings(entry.record, turn.in_force.world, lambda *_: None)
        ):
            turn.in_force.put(key, entry)
    turn.in_force.settle()
    after = turn.finish()
    kept = {key: found for key, entry in after.in_force.items() if (found := uses(entry.record))}
    return replace(
        after,
        upserts=(),
        deletes=(),
        remembered=(),
        world=replace(after.world, secrets=Map(secrets)),
        keeping=Keeping(uses=Map(kept)),
        pending=Map(pending_in(rows, now)),
    )


def unreadable(before: Admission, folder: str, why: str) -> Admission:
    """The source as a whole cannot be read: nothing that it said is lost."""
    problem = Problem(
        Place(folder), Reason.SOURCE_UNREADABLE, why, "Nothing changes until the folder can be read again"
    )
    return _unchanged(replace(before, source=(problem,), returning=None))


def _unchanged(after: Admission) -> Admission:
    keeping = replace(after.keeping, upserts=(), deletes=())
    nothing = frozenset[Key]()
    return replace(
        after,
        touched=frozenset(),
        upserts=(),
        deletes=(),
        keeping=keeping,
        pinned=nothing,
        remembered=(),
        waited=(),
    )


def pinned(before: Admission, release: Ref, weights: Weights, pin: Pin, ended: Steered | None = None) -> Admission:
    """A release that is in force gives these weights from now on, and stays so; its rollout has ended in them."""
    turn = Turn(before, pin.at)
    if ended is not None:
        turn.steering.steer(release, ended)
        turn.again(release)
    turn.steering.pin(release, weights, pin)
    turn.again(release)
    return _kept(turn.finish())


def unpinned(before: Admission, release: Ref, now: datetime) -> Admission:
    """A release that is pinned follows its record again."""
    turn = Turn(before, now)
    turn.steering.unpin(release)
    turn.again(release)
    return _kept(turn.finish())


def steered(before: Admission, release: Ref, to: Steered, now: datetime, *, unpin: bool = False) -> Admission:
    """A release that is in force gives what its rollout says."""
    turn = Turn(before, now)
    if unpin:
        turn.steering.unpin(release)
        turn.again(release)
    turn.steering.steer(release, to)
    turn.again(release)
    return _kept(turn.finish())


def moved(before: Admission, release: Ref, to: Moved) -> Admission:
    """An audience of a release that is in force gets another deployment from now on, and stays so."""
    turn = Turn(before, to.pin.at)
    turn.steering.move(release, to)
    turn.again(release)
    return _kept(turn.finish())


def reconsidered(before: Admission, releases: Iterable[Ref], now: datetime) -> Admission:
    """What these releases wait for may be there."""
    turn = Turn(before, now)
    turn.reconsider(releases)
    return _kept(turn.finish())


def _kept(after: Admission) -> Admission:
    """With the same secrets as before."""
    return replace(after, keeping=replace(after.keeping, upserts=(), deletes=()))


def set_by(before: Admission, by: timedelta) -> Admission:
    """The clock was set by so much: releases that wait have as much time left as before. The same object: none does."""
    waiting = {ref: replace(each, until=each.until + by) for ref, each in before.pending.items() if not each.failed}
    if not waiting:
        return before
    return replace(_unchanged(before), pending=before.pending.update(waiting), waited=tuple(waiting))


def tick(before: Admission, now: datetime) -> Admission:
    """The same files at a later time: audiences end, and a source that came back is believed."""
    believed = before.returning is not None and before.returning.until <= now
    turn = Turn(replace(before, source=(), returning=None) if believed else before, now)
    turn.expire(app for app, instant in before.due.items() if instant <= now)
    over = [ref for ref, each in before.waiting if each.until <= now]
    if over:
        turn.reconsider(over)
    if believed:
        turn.want()
    after = turn.finish()
    return renewed(after, now, every=True) if believed else aged(after, now)


def admit(before: Admission, batch: Batch, now: datetime, *, folder: str, allow_empty: bool = False) -> Admission:
    """The next admission.

    `folder` names the source in problems. `allow_empty`: believe that all releases are gone, or that there is nothing.
    """
    heard = _heard(before, batch)
    if not allow_empty and _may_lose(before, batch, heard.files) and _lost_everything(heard):
        what = "the folder has no release any more" if heard.files else "the folder is empty"
        fix = "Put the records back; if this is meant, start the server with --allow-empty"
        problem = Problem(Place(folder), Reason.SOURCE_UNREADABLE, f"{what}, though records are in force", fix)
        return _unchanged(replace(heard, source=(problem,), returning=None))
    returning = _returning(heard, now)
    if returning is not None and returning.until > now:
        return _unchanged(replace(heard, returning=returning))
    turn = Turn(replace(heard, source=(), returning=None), now)
    turn.want()
    after = renewed(turn.finish(), now, files=heard.unread, every=batch.complete or bool(before.unread))
    return after if allow_empty or not _has_nothing(after) else replace(after, source=(_no_records(folder),))


def _has_nothing(after: Admission) -> bool:
    """Nothing is in force, and no file has a record or something that may be one."""
    return not after.in_force and not any(file.documents or file.opaque for file in after.files.values())


def _no_records(folder: str) -> Problem:
    """It may be meant, but so look a mount and a path that are wrong."""
    what = "no record was found, so nothing is in force"
    fix = f"Records are in files that end in {', '.join(RECORDS[:-1])} or {RECORDS[-1]}: is {folder} the right folder?"
    return Problem(Place(folder), Reason.NO_RECORDS, what, fix, severity=Severity.WARNING)


def _heard(before: Admission, batch: Batch) -> Admission:
    """The files as they are now; which of them the records in force do not know yet is `unread`."""
    files, pems = before.files.mutate(), before.keeping.files.mutate()
    named = chain(before.files, before.keeping.files) if batch.complete else ()
    names = [*(name for name in named if name not in batch.files), *batch.files]

    def known(key: Key, content: str) -> Said | None:
        entry = before.in_force.get(key)
        return Said(entry.record, entry.content) if entry is not None and entry.content == content else None

    def read(name: str, text: str) -> tuple[Document, ...]:
        return read_documents(name, text, known, batch.plain)

    for name in names:
        content = batch.files.get(name)
        if content is None:
            files.pop(name, None)
            pems.pop(name, None)
        elif is_pem(name):
            pems[name] = content
        else:
            files[name] = _file(name, content, before.files.get(name, File()), read)
    found = files.finish()
    faults = told(before.faults, ((name, found.get(name, File()).faults) for name in names))
    keeping = replace(before.keeping, files=pems.finish())
    return replace(before, files=found, faults=faults, unread=before.unread.union(names), keeping=keeping)


def _may_lose(before: Admission, batch: Batch, files: Map[str, File]) -> bool:
    """Only a file with fewer releases than before can lose the last one, or a complete read, or the last file."""
    if batch.complete or before.unread or not files:
        return True
    return any(before.files.get(name, File()).releases > files.get(name, File()).releases for name in batch.files)


def _lost_everything(heard: Admission) -> bool:
    """That is what a `git checkout` looks like. A folder in which nothing was ever in force may be empty."""
    if any(file.releases for file in heard.files.values()):
        return False
    opaque = {name for name, file in heard.files.items() if file.opaque}
    releases = [Key("Release", ref) for app in heard.world.apps.values() for ref in app.releases]
    if any(may_be_in(opaque, heard.origins.get(key)) for key in releases):
        return False
    return bool(releases) or (not heard.files and bool(heard.in_force))


def _returning(heard: Admission, now: datetime) -> Return | None:
    """A folder that was emptied fills again file by file: the first ones do not mean that the others are gone."""
    if not heard.source:
        return None
    there = {each.key for file in heard.files.values() for each in file.documents}
    missing = sum(1 for key in heard.in_force if key not in there)
    if heard.returning is not None and missing >= heard.returning.missing:
        return heard.returning
    return Return(missing, now + PATIENCE) if missing else None


def _file(name: str, content: Readable | Unreadable, before: File, read: Read) -> File:
    if isinstance(content, Unreadable):
        problem = Problem(Place(name), Reason.SOURCE_UNREADABLE, content.why, "Make the file readable")
        return File(before.documents, (problem,), opaque=True)
    try:
        documents = read(name, content.text)
    except YamlFault as error:
        where = Place(name, 0, error.line)
        problem = Problem(
            where, Reason.MALFORMED, f"the file {error.what}", "Correct it; its records stay as they were"
        )
        return File(before.documents, (problem,), opaque=True)
    return File(documents, opaque=any(each.key is None for each in documents))
