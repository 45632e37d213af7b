from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.folder import build, documents
from xds_server.records.documents import Document, read_documents
from xds_server.records.plain import handed_over, received, usual

CASES = Path(__file__).parents[1] / "cases"
BLOCK = "# one\na: 1\n---\nb: 'é'\n---\nc:\n- 1.5\n"


def said(found: tuple[Document, ...]) -> list[tuple[object, ...]]:
    return [(d.place, d.key, d.record, d.content, d.problems, d.text) for d in found]


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_records_are_the_same_whoever_took_their_text_apart(case: Path) -> None:
    for file in case.glob("*.yaml"):
        text = file.read_text("utf-8")
        assert said(read_documents("a", text, plain=lambda t: received(handed_over(t)))) == said(
            read_documents("a", text)
        )


def test_what_is_handed_over_is_what_is_usual() -> None:
    text = "# one\na: 1\n---\nb: c\n---\nd:\n- 1.5\n- e: null\n"

    assert received(handed_over(text)) == usual(text)


@pytest.mark.parametrize(
    "text", ["{a: [1, b]}", '{"a": 1}', "a: é\n---\n  b: &c d\n", "\ufeffa: 1"], ids=["flow", "json", "odd", "mark"]
)
def test_other_forms_are_handed_over_too(text: str) -> None:
    found = received(handed_over(text))

    assert found is not None
    assert found[0].said["a"] in ([1, "b"], 1, "é")


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: !t b", "a: [", "a: \0"], ids=["twice", "tag", "open", "control"])
def test_of_a_text_that_is_at_fault_nothing_is_handed_over(text: str) -> None:
    assert handed_over(text) == b""
    assert received(b"") is None


@given(st.text())
def test_any_text_is_handed_over_or_not(text: str) -> None:
    """It ends neither process."""
    received(handed_over(text))


def test_an_empty_text_has_no_documents() -> None:
    assert received(handed_over("# nothing\n")) == ()


def test_documents_of_any_form_keep_their_lines() -> None:
    text = documents(build("web-1", "b1"), build("web-2", "b2"))

    found = received(handed_over(text))

    assert found is not None
    assert [each.line for each in found] == [d.place.line for d in read_documents("a", text)]
