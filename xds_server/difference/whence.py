"""Why a rule of a release gives what it gives, where that is not because its record says so."""

from xds_server.difference.steering import in_force, is_unwritten, running
from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.records.admitted import Admission
from xds_server.rollout import plan_of


def whence(admission: Admission, release: Ref) -> dict[str, str]:
    """In words, by rule: of a release that is pinned, moves by itself, or of which an audience was moved."""
    found = {each.audience: f"moved, and pinned {each.pin.words}" for each in admission.moved.get(release, ())}
    pin = admission.pins.get(release)
    default = f"pinned {pin.words}" if pin is not None else _by_rollout(admission, release)
    return {DEFAULT_RULE: default, **found} if default else found


def _by_rollout(admission: Admission, release: Ref) -> str:
    found = admission.steered.get(release)
    if found is not None and is_unwritten(found):
        return "by its rollout, which has finished and is not in its record yet"
    moving = running(admission, release)
    plan = None if moving is None else plan_of(in_force(admission, release), moving.said)
    if moving is None or plan is None:
        return ""
    step = moving.progress.step + 1
    return f"by its rollout at step {step} of {len(plan.steps)}" if step else "by its record, until its rollout begins"
