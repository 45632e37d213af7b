"""Who wants what, of many streams at once."""

from hypothesis import given
from hypothesis import strategies as st

from xds_server.protocol.index import Index, Names

EDITS = st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from(["a", "b", "a/x", "a/y", "c/x"])))


@given(EDITS)
def test_each_stream_sees_a_set_of_its_own(edits: list[tuple[bool, int, str]]) -> None:
    index = Index()
    views, sets = [Names(index, 1 << number) for number in range(4)], [set[str]() for _ in range(4)]
    for adds, number, name in edits:
        if adds:
            views[number].add(name)
            sets[number].add(name)
        else:
            views[number].discard(name)
            sets[number].discard(name)
        assert sorted(views[number].under("a/", "x")) == sorted({"a/x"} & sets[number])

    for view, names in zip(views, sets, strict=True):
        assert (set(view), len(view)) == (names, len(names))
    for name in {name for names in sets for name in names}:
        assert index.of(name) == sum(1 << number for number, names in enumerate(sets) if name in names)


def test_streams_that_are_gone_are_forgotten_together() -> None:
    index = Index()
    one, two, three = (Names(index, 1 << number) for number in range(3))
    one.update(["a", "b"])
    two.update(["b", "c"])
    three.want_everything(True)
    index.missing.add(4, "nothing")
    index.forget(0b101)
    assert (list(two), index.of("a"), index.of("b"), index.everything) == (["b", "c"], 0, 2, 0)
    assert index.wanting("nothing") == 0


def test_who_wants_a_name_by_which_there_is_nothing_is_found_too() -> None:
    index = Index()
    Names(index, 1).add("e/a.test")
    Names(index.missing, 2).add("e/b.test")
    assert index.wanting("e/b.test") == 2
    assert index.wanting_under("e/", ".test") == 3
