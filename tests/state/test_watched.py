import math
from dataclasses import replace
from datetime import timedelta

from tests.ledger.facts import NOON, ref
from xds_server.rollout import Frozen
from xds_server.rollout.watched import Answer, Question, Watched
from xds_server.state.watched import frozen_in, frozen_row, watched_in, watched_row
from xds_server.stats import Counts, Evidence, Limits, Tick


def test_what_was_learnt_comes_back_to_the_last_bit() -> None:
    evidence = Evidence().after(Tick(Counts(1000, 13), Counts(3000, 7)), Limits())
    lost = replace(evidence, clean=-math.inf)
    asked = Question("default", "slow", Limits(1.3, 0.01, 2.5), over=250)
    known = Watched("one", 2, ref("v2"), ref("v1"), (asked, asked), (Answer(evidence), Answer(lost)), 3)
    known = replace(known, stayed=timedelta(seconds=12.345678), held="gate", builds=((ref("v2"), "web", "b2"),))
    assert watched_in([watched_row(ref("shop"), known)]) == {ref("shop"): known}


def test_a_freeze_comes_back() -> None:
    known = Frozen(NOON, "Black Friday (ada)")
    assert frozen_in([frozen_row(known)]) == known
    assert frozen_in([]) is None
