"""One step of an admission: what is wanted is tried until nothing more can be taken.

What a record lacks may come with another one of the same change, so the records are tried in the order in which they
need each other, and again as long as one more is taken:

    Build, Gateway, App, AppDeployment     taken if they hold together with what is in force
    Release                                all at once: hosts may move between them
    AppDeployment, Gateway, Build, App     go if they are gone from the source and no release, or its history, has them
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from datetime import datetime

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.records import checks
from xds_server.records.activation import Activations, Wanted
from xds_server.records.admitted import Admission, told
from xds_server.records.claims import Claim, Conflict, claims_of, conflicts
from xds_server.records.concerned import concerned
from xds_server.records.documents import Document, Key
from xds_server.records.in_force import InForce
from xds_server.records.in_use import InUse
from xds_server.records.models import AppDeployment, Build, Gateway, Record, Release
from xds_server.records.readiness import ASSUMED
from xds_server.records.steering import Steering
from xds_server.records.wants import Wants
from xds_server.records.warnings import app_warnings
from xds_server.records.world import AppWorld, World, build_id, expired_at
from xds_server.records.yaml import FieldPath

UPSERTS = ("Build", "Gateway", "App", "AppDeployment")
DELETES = ("AppDeployment", "Gateway", "Build", "App")


class Turn:
    """From one admission to the next, at one time."""

    def __init__(self, before: Admission, now: datetime) -> None:
        self.in_force = InForce(before)
        self.steering = Steering(before, self.in_force)
        self._before = before
        self._now = now
        self._wants = Wants(before)
        self._held: dict[Key, tuple[Problem, ...]] = dict(before.held)
        self._looked_at: set[Ref] = set()
        self._activations = Activations(before.pending, before.conditions if before.in_force else ASSUMED, now)

    def want(self) -> None:
        """Take everything of the files that changed that can be taken, and what was held back for want of it."""
        self._wants.read()
        todo = {*self._wants.changed, *self._concerned(self._wants.changed), *self._unseen()}
        self._looked_at |= set(self._told_of(self._wants.changed))
        trying = todo
        while self._round(trying):
            trying = trying & self._held.keys()
        self._wants.forget(key for key in todo if self._is_nothing(key))

    def reconsider(self, releases: Iterable[Ref]) -> None:
        """What they wait for may be there, or they have waited long enough."""
        todo = {*(Key("Release", ref) for ref in releases), *self._waiting()} & self._held.keys()
        while self._round(todo):
            todo &= self._held.keys()

    def again(self, release: Ref) -> None:
        """What is wanted of one release, and of what is held back because of it, after it was steered."""
        steered = {Key("Release", release)}
        todo = steered.union(self._concerned(steered), self._waiting())
        while self._round(todo):
            todo &= self._held.keys()

    def _concerned(self, changed: Set[Key]) -> Iterator[Key]:
        return concerned(changed, self._before, self._wants, self.in_force)

    def _waiting(self) -> Iterator[Key]:
        """The records that wait until something is ready, and those that wait for them."""
        return (key for key, found in self._held.items() if any(each.reason is Reason.PENDING for each in found))

    def _told_of(self, keys: Set[Key]) -> Iterator[Ref]:
        """The apps of these records of which there is a warning: it may be at another line now."""
        for key in keys if self._before.warnings else ():
            app = self.in_force.app_of(key)
            if app is not None and app in self._before.warnings:
                yield app

    def _served_by(self, gateways: Set[Ref]) -> Iterator[Ref]:
        """The apps with a release at one of these gateways: what a gateway does decides what their rules can match."""
        releases = {release for gateway in gateways for _, release in self.in_force.hosts_at(gateway)}
        for release in releases:
            app = self.in_force.app_of(Key("Release", release))
            if app is not None:
                yield app

    def _unseen(self) -> Iterable[Key]:
        """After a restart the first complete read says which records are gone."""
        if self._before.keys or self._before.wanted:
            return ()
        waiting = (Key("Release", ref) for ref in self._before.pending)
        return [key for key in (*self._before.in_force, *waiting) if key not in self._wants]

    def _is_nothing(self, key: Key) -> bool:
        return key not in self._wants and self.in_force.get(key) is None

    def _round(self, todo: set[Key]) -> bool:
        """Try each once; whether any was taken."""
        by_kind: defaultdict[str, list[Key]] = defaultdict(list)
        ordered = sorted(todo, key=Key.order)
        for key in sorted(ordered, key=lambda key: self._age(key)[0]):
            self._held.pop(key, None)
            if key.kind == "Release":
                self._activations.forget(key.ref)
            by_kind[key.kind].append(key)
        taken = False
        for kind in UPSERTS:
            for key in by_kind[kind]:
                taken |= self._take(key)
            self.in_force.settle()
        taken |= self._releases(by_kind["Release"])
        self.in_force.settle()
        in_use = InUse(self.in_force, self._wants, self._held)
        for kind in DELETES:
            for key in by_kind[kind]:
                taken |= key not in self._wants and self._drop(key, in_use)
        self.in_force.settle()
        return taken

    def _age(self, key: Key) -> tuple[datetime, Key]:
        """The older has the say: by creation time, else when it was first accepted, else by name."""
        documents = self._wants.of(key)
        record = documents[0].record if documents else None
        entry = self.in_force.get(key)
        created = record.metadata.creation_timestamp if record else None
        return created or (entry.first_accepted if entry else self._now), key

    def _take(self, key: Key) -> bool:
        document = self._document(key)
        if document is None or self._refused(key, document, self._findings(key, document.record)):
            return False
        self.in_force.take(key, document, self._now)
        return True

    def _document(self, key: Key) -> Document | None:
        """What is wanted of a record, if that is one thing, not broken in itself, and not in force already."""
        documents = self._wants.of(key)
        if not documents:
            return None
        if len(documents) > 1:
            places = " and ".join(str(each.place) for each in documents)
            what = f"is written more than once: {places}"
            fix = "Keep one of them; what was in force stays"
            self._held[key] = tuple(
                Problem(each.place, Reason.DUPLICATE_RECORD, what, fix, str(key)) for each in documents
            )
            return None
        if documents[0].record is None:
            self._held[key] = ()
            return None
        wanted = self.steering.document(key, documents[0])
        if not self.in_force.says(key, wanted):
            return wanted
        self.steering.read(key, documents[0])
        return None

    def _findings(self, key: Key, record: Record | None) -> Iterator[checks.Finding]:
        match record:
            case Build():
                yield from checks.build_findings(record, self._of_the_same_build(record))
            case AppDeployment():
                yield from checks.deployment_findings(record, self.in_force.record(key, AppDeployment))
            case Gateway():
                yield from checks.gateway_findings(record, self.in_force.hosts_at(record.ref))
            case _:
                pass

    def _of_the_same_build(self, record: Build) -> Iterator[Build]:
        """The other records of a build, but for those that are about to agree with this one."""
        for other in self.in_force.placing(build_id(record)):
            if other.ref != record.ref and not self._agrees(other, record):
                yield other

    def _agrees(self, other: Build, record: Build) -> bool:
        documents = self._wants.of(Key("Build", other.ref))
        wanted = documents[0].record if len(documents) == 1 else None
        return (
            isinstance(wanted, Build)
            and build_id(wanted) == build_id(record)
            and wanted.spec.agreed == record.spec.agreed
        )

    def _refused(self, key: Key, document: Document, findings: Iterable[checks.Finding]) -> bool:
        """Hold the record back because of what was found; nothing found: it is not refused."""
        found = list(findings)
        if found:
            self._held[key] = tuple(
                Problem(document.locate(each.path), each.reason, each.what, each.fix, str(key)) for each in found
            )
        return bool(found)

    def _releases(self, keys: list[Key]) -> bool:
        """All releases of a change at once, because hosts may move between them."""
        candidates: dict[Ref, Document | None] = {}
        for key in keys:
            if key in self._wants:
                document = self._release(key)
                if document is not None:
                    candidates[key.ref] = document
            elif self._gone(key) and not self._is_pinned(key, self._wants.place(key), "is gone from the records"):
                candidates[key.ref] = None
        self._keep_for_those_who_wait(candidates)
        wanted = {ref: _as_release(each) for ref, each in candidates.items()}
        lost = conflicts(wanted, self.in_force.claims, lambda ref: self._age(Key("Release", ref)))
        for ref, document in candidates.items():
            self._decide(Key("Release", ref), document, lost.get(ref))
        return len(lost) < len(candidates)

    def _keep_for_those_who_wait(self, candidates: dict[Ref, Document | None]) -> None:
        """Who gives up a host keeps all that it has until the release that takes the host is ready for its requests."""
        takers = {claim: ref for ref, record in self._activations.waiting for claim in claims_of(record)}
        for ref, document in [*candidates.items()] if takers else ():
            key = Key("Release", ref)
            gives_up = set(claims_of(self.in_force.record(key, Release))).difference(claims_of(_as_release(document)))
            claim = min((each for each in gives_up if takers.get(each, ref) != ref), default=None)
            if claim is not None:
                self._held[key] = (_kept_for(key, self._wants.place(key), claim, takers[claim]),)
                del candidates[ref]

    def _release(self, key: Key) -> Document | None:
        """A release that may have what it wants, as far as hosts are not concerned; None if there is nothing to do."""
        document = self._document(key)
        record = _as_release(document)
        if document is None or record is None or self._is_pinned(key, document.place):
            return None
        findings = checks.release_findings(record, self.in_force.world, self._written)
        if self._refused(key, document, findings) or self._is_pending(key, document, record):
            return None
        return document

    def _is_pending(self, key: Key, document: Document, record: Release) -> bool:
        """What it newly gives is not ready, or was not in time."""
        wanted = Wanted(document, record, self.in_force.record(key, Release))
        found = self._activations.problem(wanted, self.in_force.world.app(record.refer(record.spec.app)))
        if found is not None:
            self._held[key] = (found,)
        return found is not None

    def _is_pinned(self, key: Key, place: Place, what: str = "says something else than what is in force") -> bool:
        pin = self.steering.pins.get(key.ref)
        if pin is not None:
            fix = f"xdsctl unpin {key.ref.word} puts it into force; until then what it gives stays"
            said = Problem(place, Reason.PINNED, f"{what}, and is pinned {pin.words}", fix, str(key))
            self._held[key] = (said,)
        return pin is not None

    def _written(self, kind: str, ref: Ref) -> Place | None:
        documents = self._wants.of(Key(kind, ref))
        return documents[0].place if documents else None

    def _decide(self, key: Key, document: Document | None, conflict: Conflict | None) -> None:
        if conflict is not None and document is not None:
            self._refused(key, document, [_lost(document, conflict)])
            return
        if document is None:
            self.in_force.remove(key)
            self.steering.forget(key.ref)
        else:
            self.in_force.take(key, document, self._now)
            self.steering.read(key, self._wants.of(key)[0])

    def _gone(self, key: Key) -> bool:
        """A record in force that the source certainly has no more."""
        if self.in_force.get(key) is None:
            return False
        if self._wants.hidden(key):
            self._held[key] = tuple(self._hidden(key))
            return False
        return True

    def _hidden(self, key: Key) -> Iterator[Problem]:
        """Of a file that cannot be read at all its own problem says so; of one that can, nobody would expect it."""
        if self._wants.partly_readable(key):
            what = (
                "is in no file any more, but a document of its last one cannot be read and may be it: it stays in force"
            )
            fix = "Correct or remove that document"
            yield Problem(self._wants.place(key), Reason.SOURCE_UNREADABLE, what, fix, str(key))

    def _drop(self, key: Key, in_use: InUse) -> bool:
        """A record that is gone from the source leaves, unless somebody still needs it."""
        if not self._gone(key):
            return False
        problem = in_use.problem(key)
        if problem is not None:
            self._held[key] = (problem,)
            return False
        self.in_force.remove(key)
        return True

    def expire(self, apps: Iterable[Ref]) -> None:
        """Look at these apps again although no record of theirs changed."""
        self.in_force.touched |= set(apps)

    def finish(self) -> Admission:
        world = self._told()
        touched = frozenset(self.in_force.touched)
        looked_at = touched.union(self._looked_at, self._served_by(self.in_force.new_gateways))
        apps, due = world.apps.mutate(), self._before.due.mutate()
        for app in touched:
            due.pop(app, None)
            found = apps.get(app)
            if found is not None:
                aged, following = expired_at(self._dated(found), self._now)
                if aged is not found:
                    apps[app] = aged
                if following is not None:
                    due[app] = following
        world = replace(world, apps=apps.finish())
        held: Map[Key, tuple[Problem, ...]] = Map(self._held)
        upserts, deletes = self.in_force.saved()
        after = replace(
            self._before,
            world=world,
            in_force=self.in_force.finish(),
            claims=self.in_force.claims,
            held=self._before.held if held == self._before.held else held,
            warnings=told(self._before.warnings, ((app, self._warnings(world, app)) for app in looked_at)),
            due=due.finish(),
            touched=touched,
            upserts=upserts,
            deletes=deletes,
            pins=self.steering.pins,
            steered=self.steering.steered,
            moved=self.steering.moved,
            pinned=frozenset(self.steering.changed),
            kept=self.in_force.kept.finish(),
            remembered=tuple(sorted(self.in_force.kept.changes)),
            pending=self._activations.finish(),
            waited=self._activations.changed,
        )
        return self._wants.finish(after)

    def _told(self) -> World:
        """The world with what gateways are told of releases that wait, and of those that do not any more."""
        world = self.in_force.world
        for ref in self._activations.looked_at:
            key = Key("Release", ref)
            entry = self.in_force.get(key)
            if entry is None or not isinstance(entry.record, Release):
                continue
            told = self._activations.told(key, entry.record, entry.content)
            app = world.app(told.refer(told.spec.app))
            if app.releases.get(ref) is not told:
                world = replace(world, apps=world.apps.set(app.app, replace(app, releases=app.releases.set(ref, told))))
                self.in_force.touched.add(app.app)
        return world

    def _dated(self, app: AppWorld) -> AppWorld:
        """With the age of each of its deployments. Of what is the same as before nothing is looked up."""
        before = self._before.world.app(app.app)
        if before.deployments is app.deployments:
            return app
        return replace(app, since=Map({ref: self._since(ref) for ref in app.deployments}))

    def _since(self, deployment: Ref) -> datetime:
        entry = self.in_force.get(Key("AppDeployment", deployment))
        assert entry is not None
        return entry.record.metadata.creation_timestamp or entry.first_accepted

    def _warnings(self, world: World, app: Ref) -> tuple[Problem, ...]:
        return tuple(app_warnings(world.app(app), world.gateways, self._place))

    def _place(self, key: Key, path: FieldPath) -> Place:
        """The line of a field if what is in force is what is written; else where the record is."""
        documents = self._wants.of(key)
        if path and len(documents) == 1 and self.in_force.says(key, self.steering.document(key, documents[0])):
            return documents[0].locate(path)
        return self._wants.place(key)


def _as_release(document: Document | None) -> Release | None:
    return document.record if document is not None and isinstance(document.record, Release) else None


def _kept_for(key: Key, place: Place, claim: Claim, taker: Ref) -> Problem:
    what = f"waits: Release {taker.word}, which takes host {claim.host} at gateway {claim.gateway.word}, is not ready"
    fix = "What is in force stays until that is; what keeps it is said of it"
    return Problem(place, Reason.PENDING, what, fix, str(key), Severity.WARNING)


def _lost(document: Document, conflict: Conflict) -> checks.Finding:
    record = _as_release(document)
    assert record is not None
    (gateway, host), winner = conflict
    what = f"host {host} at gateway {gateway.word} belongs to Release {winner.word}, and {record.ref.word} wants it too"
    fix = "Take the host out of one of them; this one is taken as soon as the host is free"
    return checks.Finding(checks.host_path(record, host), Reason.ROUTE_CONFLICT, what, fix)
