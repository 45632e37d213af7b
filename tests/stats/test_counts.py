from xds_server.stats import Counts


def test_a_rate_is_between_0_and_1():
    assert Counts(8, 2).rate == 0.25
    assert Counts(0, 0).rate == 0.0


def test_counts_are_added():
    assert Counts(8, 2).plus(Counts(2, 1)) == Counts(10, 3)


def test_they_are_said_with_their_rate():
    assert Counts(1_250, 5).words == "5 of 1,250 (0.40%)"
