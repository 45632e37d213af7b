import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.records.yaml import DEEPEST, LARGEST, Found, YamlFault, documents, find, value


def only(text: str) -> object:
    [node] = documents(text)
    return value(node)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: 1.10", {"a": 1.1}, id="a-version-without-quotes-is-a-float"),
        pytest.param('a: "1.10"', {"a": "1.10"}, id="a-version-in-quotes-is-a-string"),
        pytest.param("on: [yes, No, off]", {"on": ["yes", "No", "off"]}, id="on-and-yes-are-strings"),
        pytest.param("a: 2027-01-31", {"a": "2027-01-31"}, id="a-date-is-a-string"),
        pytest.param("a: 12:30:45", {"a": "12:30:45"}, id="sixty-is-no-base"),
        pytest.param("a: 0x1f\nb: 1_000", {"a": "0x1f", "b": "1_000"}, id="hex-and-underscores-are-strings"),
        pytest.param("[true, False, null, ~, ]", [True, False, None, None], id="the-core-schema"),
        pytest.param("[1, -2, +3, 1e3, .5, 6.]", [1, -2, 3, 1000.0, 0.5, 6.0], id="numbers"),
        pytest.param("[.inf, -.INF]", [float("inf"), float("-inf")], id="infinity"),
        pytest.param("[1-2, 1.2.3, +, ., 9f1c2d7e]", ["1-2", "1.2.3", "+", ".", "9f1c2d7e"], id="not-quite-numbers"),
        pytest.param("[\"true\", 'null', !!str 5]", ["true", "null", "5"], id="quoted-is-a-string"),
        pytest.param("a: |\n  x\n  y\n", {"a": "x\ny\n"}, id="a-block"),
        pytest.param("a: &x [1]\nb: *x", {"a": [1], "b": [1]}, id="an-alias"),
        pytest.param('{"a": {"b": [1, "x", null]}}', {"a": {"b": [1, "x", None]}}, id="json"),
        pytest.param("a: 1\r\nb: x\r\n", {"a": 1, "b": "x"}, id="crlf"),
        pytest.param("\ufeffa: 1", {"a": 1}, id="a-byte-order-mark"),
        pytest.param("1: a\nnull: b", {"1": "a", "null": "b"}, id="keys-are-strings"),
    ],
)
def test_values(text: str, expected: object) -> None:
    found = only(text)

    assert found == expected
    assert repr(found) == repr(expected), "1 and 1.0 and true are equal but not the same"


@pytest.mark.parametrize("text", ["", "\n", "---\n---\n", "# nothing\n", "~\n--- null\n", "\ufeff"])
def test_an_empty_document_is_none(text: str) -> None:
    assert list(documents(text)) == []


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        pytest.param("a: 1\nb:\n  c: 1\n  c: 2", "has the key 'c' twice", 4, id="a-key-twice"),
        pytest.param("a: 1\n[b]: 2", "has a key that is not a string", 2, id="a-list-as-key"),
        pytest.param("a: !int 5", "has the tag !int", 1, id="a-scalars-tag"),
        pytest.param("a: !!python/object/apply:os.system [ls]", "has the tag", 1, id="a-tag-of-python"),
        pytest.param("\n\na: !thing {b: 1}", "has the tag !thing", 3, id="a-mappings-tag"),
        pytest.param(nested(DEEPEST + 2), "nested deeper", 1, id="nested"),
        pytest.param(f"[{'1,' * LARGEST}]", "more values", 1, id="too-many-values"),
        pytest.param("a: &a [*a]", "more values", 1, id="an-alias-of-itself"),
        pytest.param(
            "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))]),
            "are its aliases meant?",
            1,
            id="a-billion-laughs",
        ),
    ],
)
def test_a_document_that_no_record_could_be(text: str, what: str, line: int) -> None:
    with pytest.raises(YamlFault, match=what.replace("?", r"\?")) as found:
        only(text)

    assert found.value.line == line


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        pytest.param("a: 1\n\tb: 2", "a tab character", 2, id="a-tab"),
        pytest.param("a: [1", "is not YAML", 2, id="no-end"),
        pytest.param("a: 1\nb: c: d", "mapping values are not allowed", 2, id="two-colons"),
        pytest.param("a: *b", "undefined alias", 1, id="no-such-anchor"),
        pytest.param("a: \0", "unacceptable character #x0000", 0, id="a-nul-byte"),
        pytest.param('a: "\\ud800"', "invalid Unicode", 1, id="half-a-surrogate"),
        pytest.param("%YAML 3.0\n---\na: 1", "incompatible", 1, id="another-yaml"),
        pytest.param("a: 1\n--- ]\n", "did not find expected node content", 2, id="a-second-document"),
    ],
)
def test_a_text_that_is_not_yaml(text: str, what: str, line: int) -> None:
    with pytest.raises(YamlFault, match=what) as found:
        list(documents(text))

    assert abs(found.value.line - line) <= 1, "libyaml may point at what follows"
    assert "\n" not in found.value.what


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "])
def test_nesting_without_end_cannot_end_the_process(opened: str) -> None:
    """PyYAML's composer recurses in C: at this depth it would overflow the stack."""
    with pytest.raises(YamlFault, match="nested deeper than any record"):
        list(documents(opened * 200_000))


@pytest.mark.parametrize("digits", [18, 19, sys.get_int_max_str_digits() + 1, 100_000])
def test_no_number_is_too_long_to_be_read(digits: int) -> None:
    assert only("9" * digits) == (int("9" * digits) if digits <= 18 else float("9" * digits))


@given(st.text())
def test_any_text_is_values_or_a_fault(text: str) -> None:
    try:
        found = [value(node) for node in documents(text)]
    except YamlFault:
        return
    assert None not in found


def test_a_field_is_found_at_its_key_and_a_missing_one_where_it_would_be() -> None:
    [node] = documents("a:\n  b:\n  - c: x\n  - d: 1.10\n")

    assert find(node, ()) == Found(1)
    assert find(node, ("a", "b", 1, "d")) == Found(4, "1.10")
    assert find(node, ("a", "b", 1, "e")) == Found(4)
    assert find(node, ("a", "b", 7)) == Found(2)
    assert find(node, ("a", "x", "y")) == Found(1)
