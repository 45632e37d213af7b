"""What a server says of rollouts, and is told of them."""

import json
from collections.abc import Iterator, Mapping
from shlex import quote as quoted
from urllib.parse import quote

from pydantic import TypeAdapter

from xds_server.api.rollouts import FreezeReport, RolloutReport
from xds_server.api.steering import EventReport
from xds_server.cli.servers import asked
from xds_server.cli.steering import EVENT
from xds_server.cli.steering import who as myself
from xds_server.records.progress import Ended
from xds_server.rollout.decide import Held

ROLLOUT = TypeAdapter(RolloutReport | None)
FREEZE = TypeAdapter(FreezeReport)


def word(said: Mapping[str, object], who: str, why: str) -> bytes:
    return json.dumps({**said, "who": who or myself(), "why": why}).encode()


def rollout(server: str, release: str) -> RolloutReport | None:
    return asked(server, f"/releases/{quote(release)}/rollout", ROLLOUT)


def said(server: str, path: str, body: bytes) -> EventReport:
    return asked(server, quote(path), EVENT, body)


def frozen(server: str, path: str, body: bytes | None) -> FreezeReport:
    """`body` None: only what is frozen."""
    return asked(server, path, FREEZE, body)


def because(found: RolloutReport) -> str:
    """Why it is where it is, and until when, if that is not said yet."""
    until = f"{found.until:%Y-%m-%dT%H:%M:%SZ}" if found.until else ""
    return f"{found.because}, until {until}" if until not in found.because else found.because


def lines(found: RolloutReport) -> Iterator[str]:
    """Every step, marked where it is; what it waits for; what is said of each cohort."""
    state = found.ended or (f"held ({found.held})" if found.held else "moves")
    yield f"{found.release}: {found.deployment} has {found.share:.9g} %, {state}"
    for number, step in enumerate(found.steps, 1):
        mark = "->" if number == found.step and found.ended is None else "  "
        yield f"  {mark} {number}. {step}"
    yield f"  {because(found)}"
    for each in (*verdicts(found), *way_on(found)):
        yield f"  {each}"


def verdicts(found: RolloutReport) -> Iterator[str]:
    return (f"{each.cohort}, {each.verdict}: {each.because}" for each in found.verdicts)


def way_on(found: RolloutReport) -> Iterator[str]:
    """What a person may type about one that does not move."""
    promote = f"xdsctl promote {found.release} --from-step {found.step} --why ..."
    match found.ended or found.held:
        case Held.GATE:
            gate = found.steps[found.step - 1].removeprefix("gate: ")
            yield f"to open it: xdsctl approve {found.release} {quoted(gate)} --why ..."
        case Held.PAUSED:
            yield f"to let it go on: xdsctl resume {found.release} --why ..."
        case Held.EVIDENCE | Held.WORSE:
            yield f"to take it back: xdsctl rollback {found.release} --why ..."
            yield f"to go on all the same: {promote}"
        case Held.WINDOW | Held.FROZEN:
            yield f"to go on all the same: {promote}"
        case Ended.ROLLED_BACK:
            yield f"to begin it again: {promote}"
        case _:
            return
