import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.records.regex import lacking


@pytest.mark.parametrize(
    "expression",
    [
        "/api/.*",
        r"/v[0-9]+/users/\d{1,10}(?:/.*)?",
        r"(?i)chrome|firefox",
        r"(?P<year>[0-9]{4})-\x41\.\-\/",
        "[[:alpha:]]+",
        "a*?b+?c??d{2,}?",
        r"\x{ff}é",
        "",
    ],
)
def test_what_re2_reads(expression: str) -> None:
    assert lacking(expression) is None


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        pytest.param("(a", "is not a regular expression of RE2: missing ): (a", id="no-end"),
        pytest.param("a(?=b)", "is not a regular expression of RE2: invalid perl operator: (?=", id="look-ahead"),
        pytest.param("(?<!a)b", "is not a regular expression of RE2: invalid perl operator: (?<!", id="look-behind"),
        pytest.param(
            r"(a)\1", r"is not a regular expression of RE2: invalid escape sequence: \1", id="a-back-reference"
        ),
        pytest.param(
            r"\x{100}", r"is not a regular expression of RE2: invalid escape sequence: \x{100", id="beyond-a-byte"
        ),
        pytest.param("a{1001}", "is not a regular expression of RE2: invalid repetition size: {1001}", id="too-often"),
        pytest.param("(?:a{100}b){11}", "is not a regular expression of RE2: ", id="too-often-in-all"),
        pytest.param(
            "a" * 300,
            "is too large for Envoy: RE2 makes 304 instructions of it, and Envoy takes 100",
            id="too-large-for-envoy",
        ),
        pytest.param("a" * 1001, "is longer than 1000 characters", id="too-long"),
    ],
)
def test_what_re2_does_not_read(expression: str, what: str) -> None:
    assert (lacking(expression) or "").startswith(what)


@given(st.text(max_size=40))
def test_any_text_is_judged(text: str) -> None:
    assert lacking(text) is None or len(lacking(text) or "") > 0
