"""How a release is, in one word, and why."""

from enum import StrEnum
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Severity
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import Release


class Status(StrEnum):
    """The first that holds, in another order: `status_of` says it."""

    PENDING = "Pending"
    ACTIVE = "Active"
    PROGRESSING = "Progressing"
    HOLDING = "Holding"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"


class StatusSaid(NamedTuple):
    """`because`: empty where there is nothing to say."""

    status: Status
    because: str = ""


class RolloutSaid(NamedTuple):
    """What a rollout says of itself. `held`: it could go on, were it not for what `because` says."""

    held: bool
    because: str
    ended: bool = False


MOVES = (Status.ACTIVE, Status.PROGRESSING, Status.HOLDING)
"""Those of a release of which gateways give what is in force."""
BY_REASON = {"ActivationFailed": Status.FAILED, "Pending": Status.PENDING}
"""By the reasons why what is wanted of a release waits; what is in force serves meanwhile."""


def status_of(admission: Admission, release: Ref, rollout: RolloutSaid | None = None) -> StatusSaid:
    """Of a release that is in force, wanted, or was: what is known of neither was superseded.

    A record that is refused changes nothing of a release that is in force: that is a problem, and no status.
    """
    pin = admission.pins.get(release)
    if pin is not None:
        return StatusSaid(Status.ROLLED_BACK, f"pinned {pin.words}")
    problems = held_back(admission, release)
    for each in problems:
        if each.reason.value in BY_REASON:
            return StatusSaid(BY_REASON[each.reason.value], each.what)
    if Key("Release", release) in admission.in_force:
        if rollout is not None and not rollout.ended:
            return _moving(rollout)
        return StatusSaid(Status.ACTIVE, _moved(admission, release))
    if wanted(admission, release) is None and not problems:
        return StatusSaid(Status.SUPERSEDED, "it is not in force any more")
    return StatusSaid(Status.FAILED, next((each.what for each in problems if each.severity is Severity.ERROR), ""))


def untold(said: StatusSaid, waits: str) -> StatusSaid:
    """`waits`: what keeps gateways from being told what is in force; empty if nothing does."""
    if not waits or said.status not in MOVES:
        return said
    words = (f"{waits}; until then gateways give what they gave before", said.because)
    return StatusSaid(Status.PENDING, "; ".join(filter(None, words)))


def _moved(admission: Admission, release: Ref) -> str:
    """The audiences that get something else than the record says."""
    return "; ".join(
        f"audience {each.audience} gets {each.deployment.word}, pinned {each.pin.words}"
        for each in admission.moved.get(release, ())
    )


def held_back(admission: Admission, release: Ref) -> tuple[Problem, ...]:
    """Why what is wanted of a release is not in force."""
    key = Key("Release", release)
    by_itself = (problem for each in admission.wanted.get(key, ()) for problem in each.problems)
    return (*admission.held.get(key, ()), *by_itself)


def wanted(admission: Admission, release: Ref) -> Release | None:
    """The release as its record says it, if it says it once and without a fault."""
    documents = admission.wanted.get(Key("Release", release), ())
    record = documents[0].record if len(documents) == 1 else None
    return record if isinstance(record, Release) else None


def _moving(rollout: RolloutSaid) -> StatusSaid:
    return StatusSaid(Status.HOLDING if rollout.held else Status.PROGRESSING, rollout.because)
