from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from xds_server.records.draft import Draft

NAMES = st.sampled_from("abc")


@given(st.dictionaries(NAMES, st.integers()), st.lists(st.tuples(NAMES, st.none() | st.integers())))
def test_it_says_what_a_dictionary_would(before: dict[str, int], steps: list[tuple[str, int | None]]) -> None:
    draft, oracle = Draft(Map(before)), dict(before)
    for name, value in steps:
        if value is None:
            draft.remove(name)
            oracle.pop(name, None)
        else:
            draft[name] = value
            oracle[name] = value

        assert {each: draft.get(each) for each in "abc" if each in draft} == oracle
    assert dict(draft.finish()) == oracle


def test_what_is_not_changed_is_the_same_object() -> None:
    before = Map({"a": 1})
    draft = Draft(before)
    draft.remove("b")

    assert draft.finish() is before
