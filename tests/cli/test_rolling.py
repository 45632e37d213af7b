"""What is printed of a rollout."""

import shlex

import pytest

from tests.cli.test_describe import ROLLOUT
from xds_server.cli.rolling import lines, way_on
from xds_server.records.progress import Ended
from xds_server.rollout.decide import Held

STEPS = ("to 5 %", "gate: it's on", "to 100 %")


@pytest.mark.parametrize(
    ("held", "ended", "typed"),
    [
        (Held.PAUSED, None, ["resume", "shop"]),
        (Held.GATE, None, ["approve", "shop", "it's on"]),
        (Held.EVIDENCE, None, ["promote", "shop", "--from-step", "2"]),
        (Held.FROZEN, None, ["promote", "shop", "--from-step", "2"]),
        (None, Ended.ROLLED_BACK, ["promote", "shop", "--from-step", "2"]),
        (Held.LIVE, None, None),
        (None, None, None),
        (None, Ended.FINISHED, None),
    ],
)
def test_what_a_person_may_type_can_be_pasted(held: str | None, ended: str | None, typed: list[str] | None) -> None:
    found = ROLLOUT.model_copy(update={"release": "shop", "step": 2, "steps": STEPS, "held": held, "ended": ended})

    said = [shlex.split(each.partition(": ")[2]) for each in way_on(found)]
    assert said == ([] if typed is None else [["xdsctl", *typed, "--why", "..."]])
    assert ([*lines(found)][-1].strip() in way_on(found)) is (typed is not None)
