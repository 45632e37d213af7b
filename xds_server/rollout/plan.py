"""What a release is to do by itself, and which shares that gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from xds_server.domain.names import Ref
from xds_server.records.releases import Release, Weights
from xds_server.records.rollout import Guard, OnUnknown, Step
from xds_server.records.steered import identity_of
from xds_server.records.values import WHOLE
from xds_server.records.windows import Window, window


@dataclass(frozen=True, slots=True)
class Plan:
    """The rollout of one release. `identity`: of `default` and `rollout`; what else is edited keeps its progress."""

    identity: str
    deployment: Ref
    weights: Weights
    steps: tuple[Step, ...]
    guard: Guard | None = None
    within: Window | None = None
    freeze: bool = False
    max_hold: timedelta | None = None

    @property
    def given(self) -> int:
        """What the record gives the canary before any step."""
        return dict(self.weights).get(self.deployment, 0)

    def passes(self, step: int) -> bool:
        """Whether a step is passed over: it would take users from the canary whom the record has given it."""
        to = self.steps[step].to
        return to is not None and to < self.given

    def after(self, step: int) -> int | None:
        """The step that follows this one (-1: the first of all); None: there is no more to do."""
        return next((each for each in range(step + 1, len(self.steps)) if not self.passes(each)), None)

    def share(self, step: int) -> int | None:
        """The canary's at a step: that of the last `to`, or none where the record's weights are still in force."""
        given = self.given
        found = [each.to for each in self.steps[: step + 1] if each.to is not None and each.to >= given]
        return found[-1] if found else None

    def weights_at(self, step: int) -> Weights:
        share = self.share(step)
        return self.weights if share is None else moved(self.weights, self.deployment, share)

    def is_whole(self, step: int) -> bool:
        """Whether the canary has everything: there is nobody left to compare it with."""
        return dict(self.weights_at(step)).get(self.deployment) == WHOLE

    def needs_safe(self, step: int) -> bool:
        """Whether it stays at a step until it is known to be safe."""
        of = self.steps[step]
        held = self.guard is not None and of.for_ is not None and self.guard.on_unknown is OnUnknown.HOLD
        return of.gate is None and (of.need is not None or held) and not self.is_whole(step)

    @property
    def without(self) -> Weights:
        """What a rollback gives: the canary nothing."""
        return moved(self.weights, self.deployment, 0)


def plan_of(release: Release, said: Weights | None = None) -> Plan | None:
    """None of a release that does not move by itself. `said`: the weights of its record, if others are in force."""
    rollout = release.spec.rollout
    if rollout is None or not release.spec.default:
        return None
    weights = said or release.weights
    chosen = weights[-1][0] if rollout.deployment is None else release.refer(rollout.deployment)
    return Plan(
        identity=identity_of(release, weights),
        deployment=chosen,
        weights=weights,
        steps=rollout.steps,
        guard=rollout.guard,
        within=None if rollout.within is None else window(rollout.within),
        freeze=rollout.freeze,
        max_hold=rollout.max_hold,
    )


def moved(weights: Weights, deployment: Ref, share: int) -> Weights:
    """This deployment has `share`, and the others keep their proportions, as `with_shares` says."""
    alone = all(ref == deployment for ref, _ in weights)
    return ((deployment, WHOLE),) if alone else with_shares(weights, {deployment: share})


def with_shares(weights: Weights, shares: Mapping[Ref, int]) -> Weights:
    """These deployments have their shares, and the others what is left, in proportion of what they have.

    Where the others have nothing, the first of them has it all; where there are none, it is lost. What does not divide
    goes to those who lost most by rounding, in the record's order: with others, the sum is always whole.
    """
    others = [(ref, weight) for ref, weight in weights if ref not in shares]
    rest, total = WHOLE - sum(shares.values()), sum(weight for _, weight in others)
    if others and not total:
        others, total = [(others[0][0], 1), *((ref, 0) for ref, _ in others[1:])], 1
    parts = {ref: divmod(weight * rest, total) for ref, weight in others}
    left = rest - sum(whole for whole, _ in parts.values())
    first = sorted(parts, key=lambda ref: -parts[ref][1])[:left]
    found = {ref: whole + (ref in first) for ref, (whole, _) in parts.items()} | dict(shares)
    return tuple((ref, found[ref]) for ref in dict.fromkeys((*dict(weights), *shares)))
