"""Builds that arrive, leave, and turn from owned to shared and back, and what calls without a context then get."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from enum import StrEnum

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.graph import distil
from xds_server.records.apps import FromRelease, WithoutContext
from xds_server.records.world import AppWorld, World
from xds_server.traffic.calls import Oldest, release_for_calls, without_context
from xds_server.traffic.hosts import default_of
from xds_server.traffic.intents import DefaultIntent, Refusal


class Turned(StrEnum):
    """What happens to a build. `calls`: nothing but what calls without a context get."""

    ARRIVES = "arrives"
    LEAVES = "leaves"
    SHARED = "shared"
    OWNED = "owned"
    CALLS = "calls"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a call without a context gets from a build: a deployment, what a release gives a user, or why nothing.

    `because`: why it is the oldest deployment of several. `lacking`: deployments that the release gives users, and that
    do not contain the build: a call gets one of the others in their place.
    """

    deployment: Ref | None = None
    release: Ref | None = None
    refused: str = ""
    lacking: tuple[Ref, ...] = ()
    because: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class BuildChange:
    """A build, the deployments that name it before and after, and what calls without a context get before and after."""

    build: BuildId
    turned: Turned
    before: tuple[Ref, ...]
    after: tuple[Ref, ...]
    bound_before: Bound | None
    bound_after: Bound | None


def build_changes(before: World, after: World, apps: Set[Ref]) -> tuple[BuildChange, ...]:
    return tuple(each for app in sorted(apps) for each in _app_changes(before.app(app), after.app(app)))


def _app_changes(before: AppWorld, after: AppWorld) -> Iterator[BuildChange]:
    one, two = distil(before.deployments.values()), distil(after.deployments.values())
    for build in sorted({*one, *two}):
        old, new = one.get(build, frozenset()), two.get(build, frozenset())
        was, will_be = bound(before, old), bound(after, new)
        turned = _turned(len(old), len(new))
        if turned is None and old and new and was != will_be and len(new) > 1:
            turned = Turned.CALLS
        if turned is not None:
            yield BuildChange(build, turned, tuple(sorted(old)), tuple(sorted(new)), was, will_be)


def _turned(before: int, after: int) -> Turned | None:
    match before, after:
        case 0, _:
            return Turned.ARRIVES
        case _, 0:
            return Turned.LEAVES
        case 1, more if more > 1:
            return Turned.SHARED
        case more, 1 if more > 1:
            return Turned.OWNED
        case _:
            return None


def bound(app: AppWorld, users: frozenset[Ref]) -> Bound | None:
    """What a call without a context gets from a build that these deployments name; None: nobody names it."""
    if not users:
        return None
    match without_context(app, tuple(sorted(users))):
        case DefaultIntent():
            release = release_for_calls(app)
            assert release is not None
            given = (each.deployment for each in default_of(app.app, release).ranges)
            return Bound(release=release.ref, lacking=tuple(each for each in given if each not in users))
        case Oldest(deployment, because):
            return Bound(deployment=deployment, because=because)
        case Refusal():
            return Bound(refused=_why(app))
        case owner:
            return Bound(deployment=owner)


def _why(app: AppWorld) -> str:
    """Why nothing gives calls a deployment."""
    said = app.settings.spec.without_context if app.settings else WithoutContext.RELEASED
    if said is WithoutContext.REFUSE:
        return "withoutContext is refuse"
    if isinstance(said, FromRelease) and app.settings is not None:
        return f"there is no Release {app.settings.refer(said.release).word}"
    return "the app has several releases"
