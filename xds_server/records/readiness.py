"""Whether a deployment is ready for requests that a release newly gives it.

    placed    each of its components runs somewhere: an instance that is not draining, or a name in DNS
    well      of each build with a `healthCheck`, an instance has answered it once, to this server itself
    warm      proxies that have the release loaded hold the clusters that may stay cold: those of which instances are
              asked whether they are well, or that DNS resolves. Any other is warm as soon as the endpoints are there,
              and each proxy is sent the routes after that

A component that no record of the app places, in any build, is not asked for: where it runs is not for the records to
say. Entry components are, always. A build of a deployment that gets requests already, by whichever release, is as ready
as it was: where both share it, it keeps nobody from the new one.

The records say what is placed. The rest only the shell can know (`Conditions`).
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from typing_extensions import override

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.records.checks import named
from xds_server.records.models import AppDeployment, Build, HealthCheck, Release, UpstreamTls
from xds_server.records.models import Protocol as Spoken
from xds_server.records.world import AppWorld
from xds_server.records.yaml import FieldPath


class Question(NamedTuple):
    """Is the build well? `addresses`: its instances that are not draining, or its names in DNS. `record`: whose secrets
    TLS uses.
    """

    build: BuildId
    addresses: tuple[str, ...]
    protocol: Spoken
    check: HealthCheck
    tls: UpstreamTls | None
    record: Ref


class Cold(NamedTuple):
    """Why a cluster is not warm at a proxy. `unlisted`: the proxy is not told of it unless the release lists it."""

    words: str
    unlisted: bool


class Conditions(Protocol):
    """What the records do not say."""

    @abstractmethod
    def answer(self, question: Question) -> str | None:
        """Empty: it is well. Else why not; None: nobody has answered yet."""

    @abstractmethod
    def cold(self, release: Ref, deployment: AppDeployment) -> Sequence[Cold]:
        """What is not warm of the clusters of a deployment, at the proxies that have the release loaded."""


class Assumed(Conditions):
    """All is well and warm: where there are records alone."""

    @override
    def answer(self, question: Question) -> str | None:
        return ""

    @override
    def cold(self, release: Ref, deployment: AppDeployment) -> Sequence[Cold]:
        return ()


ASSUMED = Assumed()


class Lacks(NamedTuple):
    """What a release waits for, in words. `path`: the field that names the first deployment of which something lacks.

    `builds`: those that are not placed or not well. `questions`: to be asked. `listed`: the deployments that the
    release shall list meanwhile, so that proxies load their clusters.
    """

    path: FieldPath = ()
    words: tuple[str, ...] = ()
    builds: frozenset[BuildId] = frozenset()
    questions: frozenset[Question] = frozenset()
    listed: tuple[Ref, ...] = ()


NOTHING = Lacks()


Placed = Mapping[tuple[str, str], Sequence[Build]]
"""The records that place each build, by component and hash."""


class _Lack(NamedTuple):
    words: str
    build: BuildId
    question: Question | None = None


def given_by(release: Release | None) -> frozenset[Ref]:
    """The deployments that get requests by it: those with a weight or an audience, and the one that is to rise."""
    if release is None:
        return frozenset()
    spec = release.spec
    rising = [spec.rollout.deployment or spec.default[-1].deployment] if spec.rollout and spec.default else []
    given = (word for word, weight in spec.shares if weight)
    return frozenset(map(release.refer, (*given, *(each.deployment for each in spec.audiences), *rising)))


def lacks(release: Release, before: Release | None, app: AppWorld, conditions: Conditions) -> Lacks:
    """What the deployments lack that `release` gives requests and `before` does not."""
    given = given_by(before)
    new = given_by(release) - given
    if not new:
        return NOTHING
    serving = given.union(*map(given_by, app.releases.values()))
    used = _builds(app.deployments[each] for each in serving if each in app.deployments)
    found = [(path, app.deployments[ref]) for path, word in named(release) if (ref := release.refer(word)) in new]
    placed = _placed(app)
    missing = [
        (path, lack)
        for path, deployment in found
        for lack in _missing(deployment, placed, conditions)
        if lack.build not in used
    ]
    if missing:
        builds = frozenset(lack.build for _, lack in missing)
        questions = frozenset(lack.question for _, lack in missing if lack.question is not None)
        return Lacks(missing[0][0], tuple(lack.words for _, lack in missing), builds, questions)
    may_be_cold = [each for each in found if _may_stay_cold(each[1], placed)] if before is not None else []
    return _cold(release.ref, may_be_cold, conditions)


def _builds(deployments: Iterable[AppDeployment]) -> frozenset[BuildId]:
    return frozenset(
        BuildId(each.refer(each.spec.app), name, component.build)
        for each in deployments
        for name, component in each.spec.components.items()
    )


def _placed(app: AppWorld) -> Placed:
    """By component and build, in the order of their names."""
    found: defaultdict[tuple[str, str], list[Build]] = defaultdict(list)
    for _, record in sorted(app.builds.items()):
        found[record.spec.component, record.spec.build].append(record)
    return found


def _missing(deployment: AppDeployment, placed: Placed, conditions: Conditions) -> Iterator[_Lack]:
    app, entries = deployment.refer(deployment.spec.app), deployment.spec.entries
    for name, component in deployment.spec.components.items():
        build, here = BuildId(app, name, component.build), placed.get((name, component.build), ())
        if not any(each.spec.endpoints.take_requests for each in here):
            if name in entries or any(each == name for each, _ in placed):
                what = f"component {name} of {deployment.ref.word} has no endpoint that takes requests"
                yield _Lack(f"{what} (build {component.build})", build)
        elif here[0].spec.health_check is not None:
            yield from _unwell(_question(build, here, here[0].spec.health_check), deployment, conditions)


def _question(build: BuildId, placed: Sequence[Build], check: HealthCheck) -> Question:
    found = [each.spec.endpoints for each in placed]
    instances = {each.address for where in found for each in where.addresses or () if not each.draining}
    names = {where.dns for where in found if where.dns is not None}
    spec = placed[0].spec
    return Question(build, tuple(sorted(instances | names)), spec.protocol, check, spec.tls, placed[0].ref)


def _unwell(question: Question, deployment: AppDeployment, conditions: Conditions) -> Iterator[_Lack]:
    answer = conditions.answer(question)
    if answer != "":
        said = answer or "nobody has answered yet"
        who = f"component {question.build.component} of {deployment.ref.word} (build {question.build.build})"
        yield _Lack(f"{who} has not passed its health check: {said}", question.build, question)


def _may_stay_cold(deployment: AppDeployment, placed: Placed) -> bool:
    entries = ((name, deployment.spec.components[name].build) for name in deployment.spec.entries)
    return any(_waits(each) for where in entries for each in placed.get(where, ()))


def _waits(record: Build) -> bool:
    """A cluster of it is warm when all instances were asked, or the name is resolved."""
    return record.spec.health_check is not None or record.spec.endpoints.dns is not None


def _cold(release: Ref, deployments: Sequence[tuple[FieldPath, AppDeployment]], conditions: Conditions) -> Lacks:
    found = [(path, each.ref, cold) for path, each in deployments for cold in conditions.cold(release, each)]
    if not found:
        return NOTHING
    listed = dict.fromkeys(ref for _, ref, cold in found if cold.unlisted)
    return Lacks(found[0][0], tuple(cold.words for _, _, cold in found), listed=tuple(listed))
