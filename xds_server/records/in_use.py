"""Why a record that is gone from the source stays in force: somebody cannot do without it."""

from collections.abc import Iterable, Mapping
from functools import cached_property

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason
from xds_server.records.documents import Key
from xds_server.records.in_force import InForce
from xds_server.records.models import AppDeployment, Build, Release
from xds_server.records.wants import Wants
from xds_server.records.world import build_id


class InUse:
    """Who needs what: what is in force now, and the releases that were held back when that was first asked for."""

    def __init__(self, in_force: InForce, wants: Wants, held: Iterable[Key]) -> None:
        self._in_force = in_force
        self._wants = wants
        self._held = held

    def problem(self, key: Key) -> Problem | None:
        """Why this record stays, and what would let it go; None: it may go."""
        use = self._use(key)
        if use is None:
            return None
        why, fix = use
        what, fix = f"is gone from the records, but {why}", f"Put it back, or {fix}; until then it stays in force"
        return Problem(self._wants.place(key), Reason.IN_USE, what, fix, str(key))

    @cached_property
    def _waiting(self) -> Mapping[Ref, Ref]:
        """The deployments that releases which are held back ask for, and one such release of each."""
        waiting: dict[Ref, Ref] = {}
        for key in self._held:
            for document in self._wants.of(key) if key.kind == "Release" else ():
                release = document.record
                if isinstance(release, Release):
                    waiting.update((release.refer(name), key.ref) for name in release.spec.deployments)
        return waiting

    def _use(self, key: Key) -> tuple[str, str] | None:
        user = self._user(key)
        if user is not None:
            return f"Release {user.word} uses it", "take it out of the release first"
        left = self._left_on(key)
        if left is not None:
            return f"AppDeployment {left.word} runs on it, which is gone too and stays", "let that go"
        keeper = self._keeper(key)
        if keeper is None:
            return None
        history = f"policy.history: {keeper.spec.policy.history}"
        why = f"the history of Release {keeper.ref.word} ({history}) can go back to it"
        return why, "let the release keep less: policy.history, 0 for nothing"

    def _user(self, key: Key) -> Ref | None:
        """A release, in force or wanted, that cannot do without the record."""
        deployment = self._in_force.record(key, AppDeployment)
        if deployment is not None:
            app = self._in_force.world.app(deployment.refer(deployment.spec.app))
            users = [each.ref for each in app.releases.values() if _names(each, key.ref)]
            return min([*users, self._waiting[key.ref]] if key.ref in self._waiting else users, default=None)
        if key.kind == "Gateway":
            return min((release for _, release in self._in_force.hosts_at(key.ref)), default=None)
        return None

    def _left_on(self, key: Key) -> Ref | None:
        """A deployment that is gone from the source, stays in force all the same, and runs where this build is.

        Of one that is still written the endpoints may go: whoever takes them away means it.
        """
        build = self._in_force.record(key, Build)
        if build is None or any(each.ref != key.ref for each in self._in_force.placing(build_id(build))):
            return None
        deployments = self._in_force.world.app(build_id(build).app).deployments
        return next((ref for ref, each in deployments.items() if _runs(each, build) and self._is_left(ref)), None)

    def _is_left(self, deployment: Ref) -> bool:
        key = Key("AppDeployment", deployment)
        return key not in self._wants and self._in_force.get(key) is not None

    def _keeper(self, key: Key) -> Release | None:
        """A release whose history can go back to a deployment."""
        app = self._in_force.app_of(key) if key.kind == "AppDeployment" else None
        releases = () if app is None else self._in_force.world.app(app).releases.values()
        return next((each for each in releases if key.ref in (self._in_force.kept.get(each.ref) or ())), None)


def _runs(deployment: AppDeployment, build: Build) -> bool:
    component = deployment.spec.components.get(build.spec.component)
    return component is not None and component.build == build.spec.build


def _names(release: Release, deployment: Ref) -> bool:
    return deployment in map(release.refer, release.spec.deployments)
