from immutables import Map

from xds_server.difference.change import Change, change_of, differing


def test_what_happens_to_a_name():
    assert change_of(None, 1) is Change.ADDED
    assert change_of(1, None) is Change.REMOVED
    assert change_of(1, 2) is Change.CHANGED


def test_only_other_objects_are_different():
    same, other = [1], [1]
    before = Map({"kept": same, "changed": same, "gone": same})

    assert differing(before, before) == set()
    assert differing(before, Map({"kept": same, "changed": other, "new": other})) == {"changed", "gone", "new"}
