"""When a file may be read: what was noted when, and what is due when."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.sources.settling import Patience, Settling, Sign

PATIENCE = Patience(absence=0.1, removal=1.0, writing=10.0)
ARRIVED, TOUCHED, WRITING, LEFT = Sign

Noted = tuple[str, Sign, float]


def settling(*noted: Noted) -> Settling:
    files = Settling(PATIENCE)
    for path, sign, now in noted:
        files.note(path, sign, now)
    return files


@pytest.mark.parametrize(
    ("noted", "due"),
    [
        pytest.param([("a", ARRIVED, 5)], 5, id="a-file-that-arrives-is-read-at-once"),
        pytest.param([("a", TOUCHED, 5)], 5, id="a-touched-file-is-read-at-once"),
        pytest.param([("a", WRITING, 5)], 15, id="a-file-that-is-never-closed-is-read-as-it-is"),
        pytest.param([("a", WRITING, 5), ("a", WRITING, 8)], 18, id="each-change-begins-the-wait-anew"),
        pytest.param([("a", WRITING, 5), ("a", ARRIVED, 6)], 6, id="a-close-ends-the-wait"),
        pytest.param([("a", ARRIVED, 5), ("a", WRITING, 5)], 15, id="a-second-writer-begins-another"),
        pytest.param([("a", WRITING, 5), ("a", TOUCHED, 6)], 15, id="a-chmod-does-not-end-the-wait"),
        pytest.param([("a", LEFT, 5)], 5.1, id="a-file-that-left-may-return"),
        pytest.param([("a", LEFT, 5), ("a", WRITING, 5.05)], 15.05, id="a-file-that-is-created-anew-is-being-written"),
        pytest.param([("a", LEFT, 5), ("b", LEFT, 5.05)], 5.15, id="files-that-leave-are-told-of-together"),
        pytest.param(
            [("a", LEFT, 5), *((f"b{n}", LEFT, 5 + n / 20) for n in range(40))], 6, id="but-nobody-waits-for-ever"
        ),
        pytest.param([("a", LEFT, 5), ("b", ARRIVED, 6)], 5.1, id="an-arrival-does-not-delay-a-removal"),
    ],
)
def test_due(noted: Sequence[Noted], due: float) -> None:
    files = settling(*noted)

    assert files.due == pytest.approx(due)
    assert files.take(due - 0.001).keys().isdisjoint({noted[0][0]})
    assert noted[0][0] in files.take(due + 0.001)


def test_what_is_taken_waits_no_longer() -> None:
    files = settling(("a", ARRIVED, 1), ("b", WRITING, 1))

    assert files.take(2) == {"a": ARRIVED}
    assert ("a" in files, "b" in files) == (False, True)
    assert files.take(2) == {}


def test_nothing_is_due_when_nothing_waits() -> None:
    assert settling().due is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Sign), st.integers(0, 50)), max_size=20))
def test_every_file_is_read_in_the_end(noted: list[Noted]) -> None:
    files = settling(*sorted(noted, key=lambda each: each[2]))
    taken: set[str] = set()
    while (due := files.due) is not None:
        taken |= files.take(due).keys()

    assert taken == {path for path, _, _ in noted}
