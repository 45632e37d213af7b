import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.difference.moves import Answer, Move, Part, Parts, moves
from xds_server.domain.names import Ref
from xds_server.records.values import WHOLE
from xds_server.traffic.intents import RefusalReason
from xds_server.traffic.slots import SLOTS, slot_ranges

V1, V2, V3 = (Ref("default", name) for name in ("v1", "v2", "v3"))


def parts(**percents: int) -> Parts:
    return tuple(Part(Ref("default", name), share * 100) for name, share in percents.items() if share)


@pytest.mark.parametrize("users_stay", [True, False])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(parts(v1=100), parts(v1=100), [], id="nothing"),
        pytest.param(parts(v1=90, v2=10), parts(v1=75, v2=25), [Move(V1, V2, 1500)], id="canary rises"),
        pytest.param(parts(v1=100), parts(v3=100), [Move(V1, V3, WHOLE)], id="flip"),
        pytest.param(parts(v1=80, v2=20), parts(v3=100), [Move(V1, V3, 8000), Move(V2, V3, 2000)], id="all to one"),
    ],
)
def test_who_moves(before: Parts, after: Parts, expected: list[Move], users_stay: bool):
    assert list(moves(before, after, users_stay=users_stay)) == expected


def test_a_refusal_is_an_answer_too():
    refused = (Part(RefusalReason.AUDIENCE_EXPIRED, WHOLE),)

    assert moves(parts(v1=100), refused, users_stay=False) == (Move(V1, RefusalReason.AUDIENCE_EXPIRED, WHOLE),)


def test_users_that_stay_move_between_neighbours_of_the_ranges():
    before, after = parts(v1=50, v2=30, v3=20), parts(v1=60, v2=30, v3=10)

    assert set(moves(before, after, users_stay=True)) == {Move(V2, V1, 1000), Move(V3, V2, 1000)}
    assert set(moves(before, after, users_stay=False)) == {Move(V3, V1, 1000)}


@st.composite
def divisions(draw: st.DrawFn) -> Parts:
    first = draw(st.integers(0, WHOLE))
    second = draw(st.integers(0, WHOLE - first))
    shares = zip((V1, V2, V3), (first, second, WHOLE - first - second), strict=True)
    return tuple(Part(ref, share) for ref, share in shares if share)


@given(divisions(), divisions(), st.booleans())
def test_what_moves_leads_from_one_division_to_the_other(before: Parts, after: Parts, users_stay: bool):
    balance: dict[Answer, int] = {part.answer: part.share for part in before}
    for move in moves(before, after, users_stay=users_stay):
        assert move.share > 0
        assert move.before != move.after
        balance[move.before] -= move.share
        balance[move.after] = balance.get(move.after, 0) + move.share

    assert {ref: share for ref, share in balance.items() if share} == {part.answer: part.share for part in after}


@given(divisions(), divisions())
def test_users_that_stay_move_as_their_slots_do(before: Parts, after: Parts):
    def owners(division: Parts) -> list[Ref]:
        found = slot_ranges(tuple((part.answer, part.share) for part in division if isinstance(part.answer, Ref)))
        return [each.deployment for each in found for _ in range(each.low, each.high)]

    counted: dict[tuple[Answer, Answer], int] = {}
    for old, new in zip(owners(before), owners(after), strict=True):
        if old != new:
            counted[old, new] = counted.get((old, new), 0) + 1
    said = {(move.before, move.after): move.share for move in moves(before, after, users_stay=True)}

    for pair in {*counted, *said}:
        assert abs(counted.get(pair, 0) / SLOTS - said.get(pair, 0) / WHOLE) <= 2 / SLOTS
