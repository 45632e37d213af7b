"""`/releases/NAME/describe`: everything about one release, from its deployments' shares to who has which build."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Path
from pydantic import Field

from xds_server.api.errors import UNKNOWN, wrong
from xds_server.api.problems import ProblemReport, problem_report
from xds_server.api.release_reports import EntryReport, Said
from xds_server.api.rollouts import RolloutReport
from xds_server.api.steering import EventReport
from xds_server.api.traffic import ShareReport
from xds_server.difference.history import in_percent
from xds_server.difference.inventory import readiness
from xds_server.difference.statuses import Status, held_back, status_of, untold, wanted
from xds_server.domain.names import Ref, record_id, ref
from xds_server.domain.problems import Problem, Severity
from xds_server.graph import distil
from xds_server.graph.distillation import Users
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import AppDeployment, Release
from xds_server.records.pins import Pin
from xds_server.records.steered import Moved
from xds_server.records.values import WHOLE
from xds_server.records.world import AppWorld, build_id

EVENTS = 5
"""Of the history, so many are said."""
MISSING = "Missing"
"""How a deployment is that is not in force."""
NO_MEMBERS = (None, None)


class ComponentReport(Said):
    """A component of a deployment, and where its build runs. Null: nobody knows."""

    component: str
    build: str
    entry: bool = Field(description="A gateway sends it requests.")
    shared_with: tuple[str, ...] = Field(description="The other deployments that have this build.")
    endpoints: int | None = Field(description="Instances; null: DNS says how many, and no proxy has.")
    healthy: int | None = Field(description="Where the fewest are seen; null: no proxy has said.")


class DeploymentReport(Said):
    """A deployment that a release names."""

    deployment: str
    version: str = Field(description="Empty: a branch deployment.")
    status: str
    because: str
    set: float | None = Field(description="Its share of the default in percent; null: audiences only.")
    share: ShareReport | None = Field(description="What it had of the default since the release is live.")
    audiences: tuple[str, ...]
    components: tuple[ComponentReport, ...]


class PinReport(Said):
    """Since when a release gives what it gives, whatever its record says."""

    at: datetime
    who: str
    why: str


class AudienceReport(Said):
    """Who gets a deployment whatever the weights are. `requests`: in the last `seconds`."""

    name: str
    deployment: str
    hosts: tuple[str, ...]
    matches: bool = Field(description="Requests must look like something, too.")
    why: str
    until: datetime | None
    ended: bool
    moved: PinReport | None = Field(
        default=None, description="Since when it gets what its record does not say; null: it does not."
    )
    requests: int | None = Field(description="Null: nobody knows.")


class LedgerReport(Said):
    """How far what is in force has come. `refused`: why what the record says is not in force."""

    current: EntryReport | None
    refused: str


class Description(Said):
    """One release. `seconds`: how far back requests are counted."""

    release: str
    app: str
    gateways: tuple[str, ...]
    hosts: tuple[str, ...]
    status: Status
    because: str
    sticky: bool
    accepted: datetime | None
    seconds: float
    deployments: tuple[DeploymentReport, ...]
    audiences: tuple[AudienceReport, ...]
    rollout: RolloutReport | None
    pin: PinReport | None
    said: Mapping[str, float] = Field(
        default_factory=dict,
        description="What its record says of the default, in percent, where something else is in force.",
    )
    problems: tuple[ProblemReport, ...]
    ledger: LedgerReport
    history: tuple[EventReport, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a release beside its records.

    `members`: healthy ones and all, of a component of a deployment. `requests`: by rule and deployment. `problems`: all
    that there are. `waits`: what keeps gateways from being told what is in force.
    """

    problems: Iterable[Problem] = ()
    waits: str = ""
    shares: Mapping[str, ShareReport] = field(default_factory=dict)
    members: Mapping[tuple[Ref, str], tuple[int, int]] = field(default_factory=dict)
    requests: Mapping[tuple[str, Ref], int] | None = None
    seconds: float = 0.0
    rollout: RolloutReport | None = None
    entry: EntryReport | None = None
    history: tuple[EventReport, ...] = ()


class Describing(Protocol):
    """The releases of a running server."""

    async def describe(self, release: Ref) -> Description | None:
        """None: there is none by this name, nor was there."""


def descriptions_api(releases: Describing) -> APIRouter:
    api = APIRouter(tags=["releases"])

    @api.get("/releases/{name}/describe", summary="Everything about one release", responses=UNKNOWN)
    async def describe(name: Annotated[str, Path(description="NAME, or NAMESPACE.NAME.")]) -> Description:
        """Of one that is in force, waits to come into force, or was."""
        found = await releases.describe(ref(name))
        if found is None:
            raise wrong(404, f"there is no release {name!r}: xdsctl get lists those in force")
        return found

    return api


def described(admission: Admission, release: Ref, seen: Seen) -> Description:
    """Of a release that may be not in force."""
    record = release_of(admission, release)
    app = AppWorld(release) if record is None else admission.world.app(record.refer(record.spec.app))
    entry = admission.in_force.get(Key("Release", release))
    said = status_of(admission, release, None if seen.rollout is None else seen.rollout.said)
    status, because = untold(said, seen.waits)
    pin = admission.pins.get(release)
    refused = (str(each) for each in held_back(admission, release) if each.severity is Severity.ERROR)
    return Description(
        release=release.word,
        app="" if record is None else app.app.word,
        gateways=() if record is None else record.spec.gateways,
        hosts=() if record is None else record.spec.all_hosts,
        status=status,
        because=because,
        sticky=record is not None and record.spec.sticky is not None,
        accepted=None if entry is None else entry.first_accepted,
        seconds=seen.seconds,
        deployments=() if record is None else tuple(_deployments(record, app, seen)),
        audiences=() if record is None else tuple(_audiences(record, app, seen, admission.moved.get(release, ()))),
        rollout=seen.rollout,
        pin=_pin(pin),
        said=_said(record, wanted(admission, release)),
        problems=tuple(_problems(admission, release, record, seen.problems)),
        ledger=LedgerReport(current=seen.entry, refused=" ".join(refused)),
        history=seen.history[:EVENTS],
    )


def release_of(admission: Admission, release: Ref) -> Release | None:
    """As it is in force, or else as it is wanted."""
    entry = admission.in_force.get(Key("Release", release))
    return entry.record if entry is not None and isinstance(entry.record, Release) else wanted(admission, release)


def _said(record: Release | None, said: Release | None) -> Mapping[str, float]:
    """What the record says of the default, where something else is in force."""
    return {} if record is None or said is None or said.weights == record.weights else in_percent(said.weights)


def _pin(pin: Pin | None) -> PinReport | None:
    return None if pin is None else PinReport(at=pin.at, who=pin.who, why=pin.why)


def _deployments(record: Release, app: AppWorld, seen: Seen) -> Iterator[DeploymentReport]:
    users, weights = distil(app.deployments.values()), dict(record.weights)
    for name in map(record.refer, record.spec.deployments):
        deployment, weight = app.deployments.get(name), weights.get(name)
        lacking = (MISSING, f"app {app.app.word} has no such deployment in force")
        status, because = lacking if deployment is None else readiness(deployment, app)
        yield DeploymentReport(
            deployment=name.word,
            version="" if deployment is None else deployment.spec.version or "",
            status=status,
            because=because,
            set=None if weight is None else weight / WHOLE * 100,
            share=seen.shares.get(name.word),
            audiences=tuple(each.name for each in record.spec.audiences if record.refer(each.deployment) == name),
            components=() if deployment is None else tuple(_components(deployment, app, users, seen)),
        )


def _components(deployment: AppDeployment, app: AppWorld, users: Users, seen: Seen) -> Iterator[ComponentReport]:
    by_build = {build.component: who for build, who in users.items() if deployment.ref in who}
    for name, component in sorted(deployment.spec.components.items()):
        healthy, members = seen.members.get((deployment.ref, name), NO_MEMBERS)
        yield ComponentReport(
            component=name,
            build=component.build,
            entry=bool(component.routes),
            shared_with=tuple(each.word for each in sorted(by_build[name] - {deployment.ref})),
            endpoints=_placed(app, name, component.build) if members is None else members,
            healthy=healthy,
        )


def _placed(app: AppWorld, component: str, build: str) -> int | None:
    records = app.placed(component, build)
    if any(each.spec.endpoints.dns is not None for each in records):
        return None
    return sum(len(each.spec.endpoints.addresses or ()) for each in records)


def _audiences(record: Release, app: AppWorld, seen: Seen, moved: Iterable[Moved]) -> Iterator[AudienceReport]:
    pins = {each.audience: each.pin for each in moved}
    for each in record.spec.audiences:
        deployment = record.refer(each.deployment)
        yield AudienceReport(
            name=each.name,
            deployment=deployment.word,
            hosts=each.hosts,
            matches=each.match is not None,
            why=each.why,
            until=each.until,
            ended=(record.ref, each.name) in app.expired,
            moved=_pin(pins.get(each.name)),
            requests=None if seen.requests is None else seen.requests.get((each.name, deployment), 0),
        )


def _problems(
    admission: Admission, release: Ref, record: Release | None, problems: Iterable[Problem]
) -> Iterator[ProblemReport]:
    """Of the release, its deployments, their builds, and its gateways."""
    names = {record_id("Release", release)}
    if record is not None:
        app = admission.world.app(record.refer(record.spec.app))
        deployments = frozenset(map(record.refer, record.spec.deployments))
        users = distil(each for each in app.deployments.values() if each.ref in deployments)
        names |= {record_id("AppDeployment", each) for each in deployments}
        names |= {record_id("Gateway", record.refer(each)) for each in record.spec.gateways}
        names |= {record_id("Build", each.ref) for each in app.builds.values() if build_id(each) in users}
    for problem in problems:
        if problem.record in names:
            yield problem_report(problem)
