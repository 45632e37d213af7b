from datetime import timedelta

from tests.rollout.releases import planned
from xds_server.rollout import Ended, Progress, progress_of

MINUTE = timedelta(minutes=1)


def test_progress_goes_on_while_the_plan_is_the_same():
    plan = planned()
    known = Progress(plan.identity, 1, MINUTE)
    assert progress_of(plan, known) == known
    assert progress_of(planned(hosts=["else.example.com"]), known) == known


def test_another_plan_begins_anew():
    known = Progress(planned().identity, 1, MINUTE, ended=Ended.ROLLED_BACK)
    changed = planned(steps=[{"to": 10}, {"to": 100}])
    assert progress_of(changed, known) == Progress(changed.identity)
    assert progress_of(changed, None) == Progress(changed.identity)


def test_a_step_begins_with_no_time_stayed():
    known = Progress("one").after(MINUTE).after(MINUTE)
    assert known.stayed == 2 * MINUTE
    assert known.at(0, "it begins") == Progress("one", 0, because="it begins")
    assert known.end(Ended.FINISHED, "done").ended is Ended.FINISHED
