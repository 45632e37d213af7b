import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Golden
from tests.records.folder import SHOP, build, deployment, gateway, release
from xds_server.domain.names import Ref
from xds_server.domain.problems import Place
from xds_server.records.documents import Document, Key, Said, read_documents, record_text, restored
from xds_server.records.faults import SHOWN
from xds_server.records.models import Build
from xds_server.records.yaml import YamlFault

MISTAKES = Path(__file__).parent / "mistakes"
MANIFESTS = Path(__file__).parents[2] / "manifests" / "shop"


@pytest.mark.parametrize("name", sorted(file.stem for file in MISTAKES.iterdir()))
def test_every_mistake_is_said_in_full(name: str, golden: Golden) -> None:
    """What an operator reads: where, what, and what to do. All faults of a document at once."""
    file = MISTAKES / f"{name}.yaml"

    found = read_documents(file.name, file.read_text("utf-8"))

    golden.check("problems.txt", "".join(f"{problem}\n" for each in found for problem in each.problems))


@pytest.mark.parametrize("file", sorted(MANIFESTS.iterdir()), ids=lambda file: file.name)
def test_a_record_is_the_same_in_any_form_of_writing(file: Path) -> None:
    text = file.read_text("utf-8")
    as_it_is = read_documents("a", text)

    for other in (text.replace("\n", "\r\n"), "\ufeff" + text, "---\n" + text + "\n...\n", f"---\n---\n{text}\n---\n"):
        again = read_documents("a", other)
        assert [each.content for each in again] == [each.content for each in as_it_is]
        assert [each.record for each in again] == [each.record for each in as_it_is]
    for each in as_it_is:
        [said] = read_documents("a.json", json.dumps(json.loads(each.content), indent=2))
        assert (said.content, said.record, said.key) == (each.content, each.record, each.key)


def test_the_order_of_fields_is_not_content_and_a_value_is() -> None:
    [one], [other], [third] = (
        read_documents("a", text)
        for text in (
            build("a"),
            json.dumps(dict(reversed(json.loads(build("a")).items()))),
            build("a", "b2"),
        )
    )

    assert one.content == other.content != third.content


def test_of_thousands_of_faults_the_first_are_shown_and_the_others_counted() -> None:
    unknown = ", ".join(f"f{n}: 1" for n in range(SHOWN + 900))

    [found] = read_documents("a", f"apiVersion: xds-server.dev/v1alpha1\nkind: App\nmetadata: {{{unknown}}}")

    assert len(found.problems) == SHOWN + 1
    assert "more faults" in found.problems[-1].what


def test_a_place_counts_documents_and_lines() -> None:
    text = f"# a comment\n\n{build('a')}--- # another\n\n{build('b')}---\n  {build('c')}"

    assert [each.place for each in read_documents("x.yaml", text)] == [
        Place("x.yaml", 1, 3),
        Place("x.yaml", 2, 6),
        Place("x.yaml", 3, 8),
    ]


BLOCK = """\
apiVersion: xds-server.dev/v1alpha1
kind: Release
metadata: {name: é}
spec:
  hosts:
  - a.example.com
  - b.example.com
"""


@pytest.mark.parametrize("before", ["", "# é\n", "a: é\n---\n", "\ufeff---\n", "a: 1\r\n---\r\n"])
def test_a_field_is_located_in_its_own_document(before: str) -> None:
    document = read_documents("x.yaml", before + BLOCK + "---\nz: 1\n")[-2]
    first = before.count("\n") + 1

    assert document.locate(("spec", "hosts", 1)) == Place("x.yaml", document.place.document, first + 6, "spec.hosts.1")
    assert document.locate(("spec", "default")).line == first + 3
    assert document.locate(()).line == first


def test_an_indented_document_is_located_too() -> None:
    text = "---\n" + "".join(f"   {line}\n" for line in BLOCK.splitlines())
    [document] = read_documents("x.yaml", text)

    assert document.locate(("spec", "hosts", 0)).line == 7


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param(build("a"), Key("Build", Ref("default", "a")), id="whole"),
        pytest.param(build("a", namespace=1), Key("Build", Ref("default", "a")), id="a-wrong-field"),
        pytest.param(release("a", metadata={"namespace": "prod"}), Key("Release", Ref("prod", "a")), id="a-namespace"),
        pytest.param(
            deployment("a").replace('"spec"', '"spec": 1, "spec"'),
            Key("AppDeployment", Ref("default", "a")),
            id="a-key-twice",
        ),
        pytest.param(gateway("a").replace('"a"', "!a a"), None, id="a-name-that-cannot-be-read"),
        pytest.param(gateway("A"), None, id="a-name-that-is-none"),
        pytest.param(gateway("a").replace('"Gateway"', "1"), None, id="a-kind-that-is-none"),
        pytest.param(gateway("a").replace("v1alpha1", "v2"), None, id="another-api"),
        pytest.param(gateway("a").replace('"kind"', '"kind": "App", "kind"'), None, id="two-kinds"),
    ],
)
def test_who_a_document_is_can_be_known_although_it_is_broken(text: str, key: Key | None) -> None:
    [document] = read_documents("x", text)

    assert document.key == key
    assert document.record is None or not document.problems
    assert document.record is not None or document.problems


TEXTS = [*SHOP.values(), *(file.read_text("utf-8") for file in sorted(MANIFESTS.iterdir()))]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Valid records, cut up."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        low, high = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        part = draw(
            st.sampled_from(
                ["", "\n", ": ", "- ", "[", "}", '"', "'", "&a ", "*a", "!b ", "null", "1.10", "---\n", "|", "\t"]
            )
        )
        text = draw(
            st.sampled_from([text[:low] + part + text[low:], text[:low] + part + text[high:], text + text[low:high]])
        )
    return text


@given(st.text() | mutated())
def test_any_text_is_documents_or_a_fault(text: str) -> None:
    try:
        found = read_documents("x.yaml", text)
    except YamlFault:
        return
    for document in found:
        assert document.record is not None or document.problems
        assert_is_whole(document)


def assert_is_whole(document: Document) -> None:
    for problem in document.problems:
        assert problem.where.document == document.place.document
        assert problem.where.line >= document.place.line
        assert problem.fix
    if document.record is not None and document.key is not None:
        assert restored(document.key, document.content) == document.record
        assert restored(document.key, record_text(document.record)) == document.record
        assert document.locate(("spec",)).line >= document.place.line


@pytest.mark.parametrize("file", [*sorted(MANIFESTS.iterdir()), MISTAKES / "later.yaml"], ids=lambda file: file.name)
def test_a_record_says_what_it_was_read_from(file: Path) -> None:
    """With durations, percents and instants of every form."""
    found = read_documents("a", file.read_text("utf-8"))
    assert found
    for document in found:
        assert_is_whole(document)


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", json.dumps({"kind": "Build", "metadata": {}})])
def test_what_was_saved_and_cannot_be_read_is_no_record(content: str) -> None:
    assert restored(Key("Build", Ref("default", "a")), content) is None


def test_what_was_saved_is_the_record() -> None:
    [document] = read_documents("x", build("a", "1.10", "10.0.0.1:80", "[::1]:80"))
    record = restored(Key("Build", Ref("default", "a")), document.content)

    assert isinstance(record, Build)
    assert record == document.record


def test_what_is_known_is_not_checked_again_by_either_road() -> None:
    written = build("web-1", "b1")
    block = yaml.safe_dump(json.loads(written))

    for text in (written, block):
        [first] = read_documents("a.yaml", text)
        asked: list[tuple[Key, str]] = []

        def known(key: Key, content: str, first: Document = first, asked: list[tuple[Key, str]] = asked) -> Said:
            assert first.record is not None
            asked.append((key, content))
            return Said(first.record, first.content)

        [again] = read_documents("a.yaml", text, known)
        assert again.record is first.record
        assert again.content is first.content
        assert asked == [(first.key, first.content)]


def test_keys_are_in_the_order_of_what_stands_for_them() -> None:
    refs = [Ref(namespace, name) for namespace in ("a", "a-b", "a.b", "b") for name in ("a", "a-b", "b", "0")]
    keys = [Key(kind, ref) for kind in ("App", "AppDeployment", "Build") for ref in refs]

    assert sorted(keys, key=Key.order) == sorted(keys)
