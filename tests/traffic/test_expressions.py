"""Python's `re` reads these expressions as RE2 does: no construct in them differs."""

import re
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from xds_server.traffic import expressions

SLOT = st.integers(0, 0xFFFF)


@given(SLOT, SLOT, SLOT)
def test_slots_are_exactly_those_of_the_range(one: int, other: int, slot: int):
    low, high = min(one, other), max(one, other) + 1
    expression = expressions.slots(low, high)

    for each in (slot, low, high - 1, max(low - 1, 0), min(high, 0xFFFF)):
        assert bool(re.fullmatch(expression, f"{each:04x}")) == (low <= each < high)


@given(SLOT, SLOT)
def test_slots_take_at_most_two_runs_for_each_digit(one: int, other: int):
    assert expressions.slots(min(one, other), max(one, other) + 1).count("|") < 8


USER = "0a1b2c3d-1111-4222-8333-444455556666"


def test_a_user_is_found_among_other_cookies_on_one_line_or_two():
    expression = expressions.cookie_user("shop-user", "0a1b")

    for header in (
        f"shop-user={USER}",
        f"a=1; shop-user={USER}",
        f"a=1,shop-user={USER}; b=2",
        f"a=1;shop-user={USER} ;b",
    ):
        assert re.fullmatch(expression, header), header
    for header in (
        f"xshop-user={USER}",
        f"shop-user=1{USER}",
        f"shop-user={USER}0",
        "shop-user=0a1b",
        f"a=shop-user={USER}",
    ):
        assert not re.fullmatch(expression, header), header


def test_a_cookie_is_exactly_its_value():
    expression = expressions.cookie_exact("beta", "on")

    assert re.fullmatch(expression, "a=b; beta=on")
    assert re.fullmatch(expression, 'beta="on"; c=d')
    assert not re.fullmatch(expression, "beta=one")
    assert not re.fullmatch(expression, "alphabeta=on")


@given(st.text(min_size=1, max_size=8), st.text(max_size=8), st.booleans())
def test_a_query_parameter_is_found_however_it_is_encoded(name: str, value: str, everything: bool):
    expression = expressions.query_exact(name, value)

    def written(text: str) -> str:
        return "".join(f"%{b:02x}" for b in text.encode()) if everything else quote(text, safe="")

    parameter = f"{written(name)}={written(value)}"
    assert re.fullmatch(expression, f"/path?{parameter}")
    assert re.fullmatch(expression, f"/path?a=b&{parameter}&c")
    assert not re.fullmatch(expression, f"/path?x{parameter}")
    assert not re.fullmatch(expression, f"/path?{parameter}x")
    assert not re.fullmatch(expression, "/path?other")


def test_a_query_parameter_may_be_asked_for_by_prefix_and_by_presence():
    assert re.fullmatch(expressions.query_prefix("beta", "on"), "/?beta=once&a")
    assert not re.fullmatch(expressions.query_prefix("beta", "on"), "/?beta=off")
    for path in ("/?beta", "/?a&beta=1", "/?beta&a"):
        assert re.fullmatch(expressions.query_present("beta"), path)
    assert not re.fullmatch(expressions.query_present("beta"), "/beta?betas")
