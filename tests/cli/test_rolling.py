"""What is printed of a rollout."""

import shlex

import pytest

from tests.cli.test_describe import ROLLOUT
from xds_server.cli.rolling import lines, way_on
from xds_server.records.progress import Ended
from xds_server.rollout.decide import Held

STEPS = ("to 5 %", "gate: it's on", "to 100 %")
BACK, ON = ["rollback", "shop"], ["promote", "shop", "--from-step", "2"]


@pytest.mark.parametrize(
    ("held", "ended", "typed"),
    [
        (Held.PAUSED, None, [["resume", "shop"]]),
        (Held.GATE, None, [["approve", "shop", "it's on"]]),
        (Held.WORSE, None, [BACK, ON]),
        (Held.EVIDENCE, None, [BACK, ON]),
        (Held.WINDOW, None, [ON]),
        (Held.FROZEN, None, [ON]),
        (None, Ended.ROLLED_BACK, [ON]),
        (Held.LIVE, None, []),
        (Held.RECORD, None, []),
        (None, None, []),
        (None, Ended.FINISHED, []),
    ],
)
def test_what_a_person_may_type_can_be_pasted(held: str | None, ended: str | None, typed: list[list[str]]) -> None:
    found = ROLLOUT.model_copy(update={"release": "shop", "step": 2, "steps": STEPS, "held": held, "ended": ended})

    said = [shlex.split(each.partition(": ")[2]) for each in way_on(found)]
    assert said == [["xdsctl", *each, "--why", "..."] for each in typed]
    assert ([*lines(found)][-1].strip() in way_on(found)) is bool(typed)
