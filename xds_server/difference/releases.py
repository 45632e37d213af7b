"""What the rules of each release give before and after a change: who got what since when, for a log."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from xds_server.difference.change import differing
from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.records.claims import Claim, claims_of
from xds_server.records.models import Release
from xds_server.records.releases import Weights
from xds_server.records.values import WHOLE
from xds_server.records.world import AppWorld, World

Rules = Mapping[str, tuple[Weights, object]]
"""By rule what it gives and to whom, in the order of the record."""


@dataclass(frozen=True, slots=True)
class RuleShift:
    """What a rule gave and gives. `others`: to other requests than before, or its users are divided anew."""

    name: str
    before: Weights
    after: Weights
    others: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseShift:
    """A release whose rules give something else, and the hosts that it gains and loses."""

    app: Ref
    release: Ref
    rules: tuple[RuleShift, ...]
    came: tuple[Claim, ...]
    went: tuple[Claim, ...]


def release_shifts(before: World, after: World, apps: Set[Ref]) -> Iterator[ReleaseShift]:
    """In the order of names; nothing is looked at before it is asked for."""
    for app in sorted(apps):
        one, two = before.app(app), after.app(app)
        touched = differing(one.releases, two.releases) | {release for release, _ in one.expired ^ two.expired}
        for release in sorted(touched):
            found = _release_shift(release, one, two)
            if found.rules or found.came or found.went:
                yield found


def _release_shift(release: Ref, before: AppWorld, after: AppWorld) -> ReleaseShift:
    had, has = set(claims_of(before.releases.get(release))), set(claims_of(after.releases.get(release)))
    rules = tuple(_rule_shifts(_rules(before, release), _rules(after, release)))
    return ReleaseShift(after.app, release, rules, tuple(sorted(has - had)), tuple(sorted(had - has)))


def _rule_shifts(before: Rules, after: Rules) -> Iterator[RuleShift]:
    for name in dict.fromkeys((*after, *before)):
        (gave, users_before), (gives, users) = before.get(name, ((), None)), after.get(name, ((), None))
        others = bool(gave and gives) and users_before != users
        if gave != gives or others:
            yield RuleShift(name, gave, gives, others)


def _rules(app: AppWorld, name: Ref) -> Rules:
    """Without the audiences that have ended."""
    release = app.releases.get(name)
    if release is None:
        return {}
    audiences = {
        each.name: (((release.refer(each.deployment), WHOLE),), (each.match, sorted(each.hosts)))
        for each in release.spec.audiences
        if (name, each.name) not in app.expired
    }
    return {**audiences, DEFAULT_RULE: (_default(release), release.spec.sticky)}


def _default(release: Release) -> Weights:
    return tuple((release.refer(word), share) for word, share in sorted(release.spec.shares) if share)
