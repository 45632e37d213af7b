from datetime import timedelta

from xds_server.records.progress import Ended, Progress

MINUTE = timedelta(minutes=1)


def test_a_step_begins_with_no_time_stayed():
    known = Progress("one").watched(MINUTE)
    assert known.stayed == MINUTE
    assert known.at(0, "it begins").stayed == timedelta()
    assert known.end(Ended.FINISHED, "done").ended is Ended.FINISHED


def test_what_begins_again_has_learnt_nothing():
    known = Progress("one").at(1, "it begins").end(Ended.ROLLED_BACK, "worse")
    assert known.again() == Progress("one", attempt=2)
