"""What requests get at each host, rule by rule, and what is different about it."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from xds_server.difference.change import Change, differing
from xds_server.difference.moves import Move, Part, Parts, moves
from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.records.admitted import Admission
from xds_server.records.claims import Claim, claims_of
from xds_server.records.documents import Key
from xds_server.records.matches import AudienceMatch
from xds_server.records.models import Release, Sticky
from xds_server.records.values import WHOLE
from xds_server.records.world import AppWorld, World
from xds_server.traffic.domains import wildcards
from xds_server.traffic.hosts import released_hosts
from xds_server.traffic.intents import DefaultIntent, RefusalReason, ReleasedHost


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that `match` (None: all) get their part."""

    name: str
    match: AudienceMatch | None
    parts: Parts
    sticky: Sticky | None = None


@dataclass(frozen=True, slots=True)
class HostRules:
    """The rules of a host in their order; the last one takes all that the others left."""

    release: Ref | None
    rules: tuple[Rule, ...]

    @property
    def last(self) -> Rule:
        return self.rules[-1]

    def named(self, name: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.name == name), None)


NOBODYS = HostRules(None, (Rule("-", None, (Part(RefusalReason.HOST_UNKNOWN, WHOLE),)),))
"""A host that no release has."""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What is different about a rule at a host.

    `before` and `after` are what the requests of the rule get; of a rule that comes or goes, what `instead` gave or
    gives them, the rule that takes all that is left. `moves` are in hundredths of a percent of the rule's requests.
    `redrawn`: the users are divided anew, whatever they had.
    """

    name: str
    change: Change
    match: AudienceMatch | None
    match_before: AudienceMatch | None
    before: Parts
    after: Parts
    moves: tuple[Move, ...]
    redrawn: bool = False
    instead: str = ""


@dataclass(frozen=True, slots=True)
class HostChange:
    """What is different at a host of a gateway. `before` and `after` are whose it is; None: nobody's.

    `reordered` is the new order of the rules that stay, if it is another.
    """

    gateway: Ref
    host: str
    before: Ref | None
    after: Ref | None
    rules: tuple[RuleChange, ...]
    reordered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edited:
    """A deployment whose own content is different while rules, as (release, rule), give it requests."""

    deployment: Ref
    rules: tuple[tuple[Ref, str], ...]


def host_changes(before: Admission, after: Admission, apps: Set[Ref]) -> tuple[HostChange, ...]:
    one, two = _Rules(before), _Rules(after)
    found = (
        _host_change(claim, one.at(claim), two.at(claim))
        for claim in sorted(_concerned(before.world, after.world, apps))
    )
    return tuple(each for each in found if each is not None)


def edited(before: World, after: World, apps: Set[Ref]) -> tuple[Edited, ...]:
    """Only a deployment without a version can be edited."""
    found = []
    for app in sorted(apps):
        one, two = before.app(app).deployments, after.app(app).deployments
        changed = [ref for ref in sorted(differing(one, two)) if ref in one and ref in two]
        for ref in changed:
            rules = tuple(_rules_to(ref, after.app(app)))
            if rules and one[ref].spec != two[ref].spec:
                found.append(Edited(ref, rules))
    return tuple(found)


def _rules_to(deployment: Ref, app: AppWorld) -> Iterator[tuple[Ref, str]]:
    for ref, release in sorted(app.releases.items()):
        if any(share and release.refer(word) == deployment for word, share in release.spec.shares):
            yield ref, DEFAULT_RULE
        for audience in release.spec.audiences:
            if release.refer(audience.deployment) == deployment and (ref, audience.name) not in app.expired:
                yield ref, audience.name


def _concerned(before: World, after: World, apps: Set[Ref]) -> Iterator[Claim]:
    """The hosts of all releases that may do something else."""
    for app in apps:
        one, two = before.app(app), after.app(app)
        releases = differing(one.releases, two.releases)
        releases |= {release for release, _ in one.expired ^ two.expired}
        claims = {claim for ref in releases for side in (one, two) for claim in claims_of(side.releases.get(ref))}
        yield from claims


class _Rules:
    """The rules of every host that is asked for."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._hosts: dict[Ref, dict[str, HostRules]] = {}

    def at(self, claim: Claim) -> HostRules:
        """A host that no release names may be under a wildcard that one does."""
        for host in (claim.host, *wildcards(claim.host)):
            owner = self._admission.claims.get(Claim(claim.gateway, host))
            if owner is not None:
                return self._of(owner)[host]
        return NOBODYS

    def _of(self, owner: Ref) -> dict[str, HostRules]:
        if owner not in self._hosts:
            record = self._admission.in_force[Key("Release", owner)].record
            assert isinstance(record, Release)
            app = self._admission.world.app(record.refer(record.spec.app))
            self._hosts[owner] = {each.host: _host_rules(record, each) for each in released_hosts(app, record)}
        return self._hosts[owner]


def _host_rules(release: Release, host: ReleasedHost) -> HostRules:
    rules = []
    for audience in host.audiences:
        rules.append(Rule(audience.name, audience.match, (Part(audience.deployment, WHOLE),)))
        if audience.match is None:
            return HostRules(release.ref, tuple(rules))
    return HostRules(release.ref, (*rules, _default(release, host)))


def _default(release: Release, host: ReleasedHost) -> Rule:
    if not isinstance(host.otherwise, DefaultIntent):
        return Rule(DEFAULT_RULE, None, (Part(host.otherwise.reason, WHOLE),))
    parts = tuple(Part(release.refer(word), share) for word, share in sorted(release.spec.shares) if share)
    return Rule(DEFAULT_RULE, None, parts, release.spec.sticky)


def _host_change(claim: Claim, before: HostRules, after: HostRules) -> HostChange | None:
    rules = tuple(_rule_changes(before, after))
    reordered = _reordered(before, after)
    if not rules and not reordered and before.release == after.release:
        return None
    return HostChange(claim.gateway, claim.host, before.release, after.release, rules, reordered)


def _rule_changes(before: HostRules, after: HostRules) -> Iterator[RuleChange]:
    for rule in after.rules:
        old = before.named(rule.name)
        found = _compared(rule.name, old, rule, before.last if old is None else None)
        if found is not None:
            yield found
    for rule in before.rules:
        replaced = rule is before.last and before.named(after.last.name) is None
        if after.named(rule.name) is None and not replaced:
            found = _compared(rule.name, rule, None, after.last)
            if found is not None:
                yield found


def _compared(name: str, before: Rule | None, after: Rule | None, instead: Rule | None) -> RuleChange | None:
    one, two = before or instead, after or instead
    assert one is not None
    assert two is not None
    match_before, match = (before.match if before else None), (after.match if after else None)
    same_users = _identity(one) == _identity(two)
    redrawn = not same_users and len(one.parts) > 1 and len(two.parts) > 1
    moved = moves(one.parts, two.parts, users_stay=same_users and _identity(one) is not None)
    if instead is None and not moved and not redrawn and match_before == match:
        return None
    change = Change.CHANGED if before and after else Change.ADDED if after else Change.REMOVED
    return RuleChange(
        name, change, match, match_before, one.parts, two.parts, moved, redrawn, instead.name if instead else ""
    )


def _identity(rule: Rule) -> tuple[str | None, str | None] | None:
    """What a user is known by; None: every request is drawn by itself."""
    return (rule.sticky.cookie, rule.sticky.header) if rule.sticky else None


def _reordered(before: HostRules, after: HostRules) -> tuple[str, ...]:
    one = [rule.name for rule in before.rules if after.named(rule.name)]
    two = [rule.name for rule in after.rules if before.named(rule.name)]
    return tuple(two) if one != two else ()
