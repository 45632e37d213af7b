"""What is read line by line is what PyYAML's C parser gives for it; whatever else there is, it leaves to that one."""

from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import example, given
from hypothesis import strategies as st

from xds_server.records import block_yaml, yaml
from xds_server.records.documents import read_documents

CASES = Path(__file__).parents[1] / "cases"
WORDS = ["1.10", "'1.10'", '"a b"', "true", "null", "~", "0x10", "00012", "1e3", ".5", "+1", "1_0", "yes", "2026-01-01"]
MORE = ["a: b", "a:", "- a", "- - a", "-", "a", "a # b", "a: b # c", "#", "# c", "", " ", "---", "...", "? a", ": b"]
ODD = ["a: |", "a: >", "a: &b c", "a: *b", "<<: a", "a: !t b", "a: [b]", "a: {b: c}", "a: 'b''c'", 'a: "\\n"', "%A"]
URLS = [
    "a: b:c",
    "a: b: c",
    "a: http://b/c",
    "a: b:",
    "a:b",
    "a:  b",
    "a : b",
    "-  a",
    "- a: b",
    "- 'a'",
    "a: 'b",
    "a: é",
]
LINE = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", " ", "  ", "    ", "\t"]),
    st.sampled_from(["", "", "- ", "- - "]),
    st.sampled_from([*MORE, *ODD, *URLS]) | st.sampled_from(WORDS).map("b: {}".format),
)


def oracle(text: str) -> list[tuple[int, str, Any]] | None:
    try:
        return [
            (node.start_mark.line + 1, text[node.start_mark.index : node.end_mark.index], yaml.value(node))
            for node in yaml.documents(text)
        ]
    except yaml.YamlFault:
        return None


def assert_agrees(text: str) -> bool:
    """Whether it was read."""
    found = block_yaml.documents(text)
    if found is not None:
        assert repr([tuple(each) for each in found]) == repr(oracle(text))
    return found is not None


@given(st.lists(LINE, max_size=8).map("\n".join))
@example("a: b\na: c")
@example("a: b\n  c")
@example("a: b\n  c: d")
@example("a:\n- b\n- c: d\n  e: f\nf: 1")
@example("- a: 1\n  - b")
@example("a: 1\n---\n---\n# c\nb: 2\n\n")
@example("a:\n    b: 1\n  c: 2")
@example("a: b\r\nc: d")
@example("a: 1\n...\n")
def test_lines(text: str) -> None:
    assert_agrees(text)


PLAIN = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(allow_nan=False) | st.text(max_size=8)
KEYS = st.from_regex(r"[a-z][a-zA-Z0-9_./-]{0,6}", fullmatch=True)
VALUES = st.recursive(
    PLAIN | st.sampled_from(["1.10", "on", "null", "10.0.0.4:8080", "a: b", "a #b", "2026-01-01", "x,y", "-"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_written_documents(said: list[dict[str, Any]]) -> None:
    assert_agrees(pyyaml.safe_dump_all(said))


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: {b: c}",
        "a: &b c",
        "a: !t b",
        "a: |\n  b",
        "a: b\n  c",
        '{"a": 1}',
        "a:\n\t- b",
        "1: 2",
        "a: é",
    ],
)
def test_what_is_unusual_is_left_alone(text: str) -> None:
    assert block_yaml.documents(text) is None


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_records_are_the_same_by_both_roads(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {file.name: file.read_text("utf-8") for file in case.iterdir() if file.suffix == ".yaml"}
    quick = [read_documents(name, text) for name, text in texts.items()]
    monkeypatch.setattr(block_yaml, "documents", lambda _text: None)
    slow = [read_documents(name, text) for name, text in texts.items()]

    def told(all_: list[Any]) -> list[Any]:
        return [[(d.place, d.key, d.record, d.content, d.problems, d.text) for d in each] for each in all_]

    assert told(quick) == told(slow)
