"""Which secrets are in force after a change of records, of files, or of the time."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.records.admitted import Admission, told
from xds_server.records.documents import Key
from xds_server.records.reading import is_pem
from xds_server.records.saved import SECRET, Row
from xds_server.records.secrets import USERS, Secret, SecretFault, Use, read, saved, uses
from xds_server.records.wants import place_in

NOTICE = timedelta(days=14)
"""How long before its end a certificate that nobody renewed is a warning."""


def renewed(
    after: Admission, now: datetime, *, files: AbstractSet[str] = frozenset(), every: bool = False
) -> Admission:
    """The admission with its secrets: of records that differ, of `files` that changed, or of all."""
    rows = (row for row in after.upserts if row.kind in USERS)
    edited = {*(Key(row.kind, Ref(row.namespace, row.name)) for row in rows), *after.deletes}
    wanted, gone = _uses(after, edited)
    before = after.keeping.uses
    concerned = {key for key in edited if key in wanted or key in before}
    if every or any(map(is_pem, files)):
        concerned |= {
            key for key, found in wanted.items() if every or any(not files.isdisjoint(u.files) for u in found)
        }
    return _after(after, wanted, gone, [_look(after, key, wanted.get(key, ()), now) for key in sorted(concerned)], now)


def aged(after: Admission, now: datetime) -> Admission:
    """The same records and files at a later time: certificates come near their end, or pass it."""
    uses = after.keeping.uses
    due = sorted(key for key, moment in after.keeping.due.items() if moment <= now)
    return _after(after, uses, set(), [_look(after, key, uses.get(key, ()), now) for key in due], now)


@dataclass(frozen=True, slots=True)
class _Found:
    """What looking at the secrets of one record gave."""

    key: Key
    secrets: dict[str, Secret]
    problems: tuple[Problem, ...]
    due: datetime | None


def _uses(after: Admission, edited: Iterable[Key]) -> tuple[Map[Key, tuple[Use, ...]], set[str]]:
    """The uses of every record, and the names of secrets that nothing uses any more."""
    before = after.keeping.uses
    wanted = before.mutate()
    gone: set[str] = set()
    for key in edited:
        entry = after.in_force.get(key)
        found = uses(entry.record) if entry is not None else ()
        used = before.get(key, ()) if before else ()
        gone |= {use.name for use in used} - {use.name for use in found}
        if found:
            wanted[key] = found
        elif used:
            del wanted[key]
    return wanted.finish(), gone


def _look(after: Admission, key: Key, wanted: Iterable[Use], now: datetime) -> _Found:
    secrets: dict[str, Secret] = {}
    problems: list[Problem] = []
    waits: list[datetime] = []
    for use in wanted:
        said = read(use, after.keeping.files, now)
        served = said if isinstance(said, Secret) else after.world.secrets.get(use.name)
        if isinstance(said, SecretFault):
            problems.append(_fault(after, key, said, served, now))
            waits += [said.until] if said.until else []
        else:
            secrets[use.name] = said
            problems += _expiring(after, key, use, said, now)
        if served is not None:
            waits += [each for each in (served.expires - NOTICE, served.expires) if each > now]
    return _Found(key, secrets, tuple(problems), min(waits, default=None))


def _fault(after: Admission, key: Key, fault: SecretFault, served: Secret | None, now: datetime) -> Problem:
    if served is None:
        meanwhile = "until then what needs it stays closed"
    elif served.expires <= now:
        meanwhile = "until then the one that has expired is served"
    else:
        meanwhile = f"until then the one from before is served, which ends {served.expires:%Y-%m-%d}"
    fix = f"{fault.fix}; {meanwhile}"
    return Problem(place_in(after, key, fault.path), Reason.CERTIFICATE, fault.what, fix, str(key))


def _expiring(after: Admission, key: Key, use: Use, secret: Secret, now: datetime) -> Iterator[Problem]:
    if secret.expires - NOTICE <= now:
        what = f"the certificate of {use.files[0]} ends {secret.expires:%Y-%m-%d %H:%M} UTC"
        fix = "Renew it; a new file acts at once"
        yield Problem(place_in(after, key, use.path), Reason.CERTIFICATE_EXPIRES, what, fix, str(key), Severity.WARNING)


def _after(
    after: Admission, wanted: Map[Key, tuple[Use, ...]], gone: set[str], found: list[_Found], now: datetime
) -> Admission:
    secrets = {
        name: secret
        for each in found
        for name, secret in sorted(each.secrets.items())
        if after.world.secrets.get(name) != secret
    }
    world = after.world
    if secrets or gone:
        kept = world.secrets.mutate()
        for name in gone:
            kept.pop(name, None)
        kept.update(secrets)
        world = replace(world, secrets=kept.finish())
    keeping = replace(
        after.keeping,
        uses=wanted,
        problems=told(after.keeping.problems, ((each.key, each.problems) for each in found)),
        due=_due(after.keeping.due, found),
        upserts=tuple(Row(SECRET, "", name, saved(secret), now) for name, secret in secrets.items()),
        deletes=tuple(sorted(gone)),
    )
    return replace(after, world=world, keeping=keeping)


def _due(before: Map[Key, datetime], found: Iterable[_Found]) -> Map[Key, datetime]:
    due = before.mutate()
    for each in found:
        if each.due is not None:
            due[each.key] = each.due
        else:
            due.pop(each.key, None)
    return due.finish()
