"""A record is changed and nothing else is: not a comment, a quote or a blank."""

import json
import string
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.folder import build, deployment, gateway, release
from xds_server.domain.names import Ref
from xds_server.records import yaml
from xds_server.records.documents import Key, read_documents
from xds_server.records.editing import NotEdited, bodies, document_removed, document_written, weights_written
from xds_server.records.models import Release

SHOP = Key("Release", Ref("default", "shop"))
HEAD = "apiVersion: xds-server.dev/v1alpha1\nkind: Release\nmetadata: {name: shop}\nspec:\n  app: shop\n"
HEAD += "  gateways: [edge]\n  hosts: [shop.test]\n"


def ref(name: str) -> Ref:
    return Ref("default", name)


def weights(**said: int) -> tuple[tuple[Ref, int], ...]:
    return tuple((ref(name), weight) for name, weight in said.items())


def said(text: str, key: Key = SHOP) -> dict[str, int]:
    """What a text gives by its default."""
    [record] = [each.record for each in read_documents("", text) if each.key == key]
    assert isinstance(record, Release)
    return {each.word: weight for each, weight in record.weights}


IN_PLACE = {
    "flow": "  default: [{deployment: v1, weight: <1>}, {deployment: v2, weight: <2>}]  # who gets what\n",
    "block": """\
  default:
    - deployment: v1  # old
      weight: <1>  # of a hundred

    # the canary
    - {deployment: "v2", weight: <2>}   # new
  # the end
""",
    "beside-its-key": """\
  default:
  - weight: <1>
    deployment: 'v1'
  - weight: <2>
    deployment: v2
  policy: {history: 3}
""",
    "anchors": """\
  default: [{deployment: &old v1, weight: &most <1>}, {deployment: v2, weight: <2>}]
  audiences: [{name: a, hosts: [a.test], deployment: *old}]
""",
    "windows": "  default:\r\n  - deployment: v1\r\n    weight: <1>\r\n  - {deployment: v2, weight: <2>}\r\n",
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_only_the_weights_are_written(case: str) -> None:
    before, after = (
        HEAD + IN_PLACE[case].replace("<1>", first).replace("<2>", second)
        for first, second in (("95.00", "5"), ("90", "10"))
    )

    assert weights_written(before, SHOP, weights(v1=9000, v2=1000)) == after


ADDED = {
    "flow": (
        "  default: [{deployment: v1}]\n",
        "  default: [{deployment: v1, weight: 70}, {deployment: v2, weight: 29.5}, {deployment: v3, weight: 0.5}]\n",
    ),
    "a-pair": (
        "  default: [deployment: v1]\n",
        "  default: [{deployment: v1, weight: 70}, {deployment: v2, weight: 29.5}, {deployment: v3, weight: 0.5}]\n",
    ),
    "lines-of-flow": (
        "  default: [\n    {deployment: v1, weight: 100}\n  ]\n",
        """\
  default: [
    {deployment: v1, weight: 70},
    {deployment: v2, weight: 29.5},
    {deployment: v3, weight: 0.5}
  ]
""",
    ),
    "block": (
        """\
  default:
    - deployment: 'v1'  # the one

  # what else
  policy: {history: 3}""",
        """\
  default:
    - deployment: 'v1'  # the one
      weight: 70
    - deployment: 'v2'
      weight: 29.5
    - deployment: 'v3'
      weight: 0.5

  # what else
  policy: {history: 3}""",
    ),
    "block-of-flow": (
        '  default:\n  - {"deployment": "v1", "weight": 100} # all',
        """\
  default:
  - {"deployment": "v1", "weight": 70} # all
  - {"deployment": "v2", "weight": 29.5}
  - {"deployment": "v3", "weight": 0.5}""",
    ),
}


@pytest.mark.parametrize("case", ADDED)
def test_deployments_are_added_as_the_last_one_is_written(case: str) -> None:
    before, after = ADDED[case]

    assert weights_written(HEAD + before, SHOP, weights(v1=7000, v2=2950, v3=50)) == HEAD + after


def test_an_alias_of_another_weight_is_written_out() -> None:
    text = HEAD + "  default:\n  - {deployment: v1, weight: &half 50}  # one\n  - {deployment: v2, weight: *half}\n"

    after = weights_written(text, SHOP, weights(v1=9000, v2=1000))
    assert after == text.replace("&half 50", "&half 90").replace("*half", "10")


def test_json_stays_json() -> None:
    text = json.dumps(json.loads(release("shop", "shop.test")), indent=2)

    after = weights_written(text, SHOP, weights(v1=9000, v2=1000))
    assert json.loads(after)["spec"]["default"] == [
        {"deployment": "v1", "weight": 90},
        {"deployment": "v2", "weight": 10},
    ]


def test_what_is_listed_and_not_named_has_nothing() -> None:
    text = f"{HEAD}  default: [{{deployment: v1, weight: 95}}, {{deployment: v2, weight: 5}}]\n"

    assert said(weights_written(text, SHOP, weights(v2=10000))) == {"v1": 0, "v2": 10000}


def test_a_name_that_looks_like_a_number_is_quoted() -> None:
    text = f"{HEAD}  default: [{{deployment: v1}}]\n"

    after = weights_written(text, SHOP, ((ref("v1"), 5000), (Ref("default", "1e3"), 2500), (Ref("1", "5"), 2500)))
    assert '{deployment: "1e3", weight: 25}, {deployment: "1.5", weight: 25}' in after


def test_the_same_weights_are_the_same_text() -> None:
    text = f"{HEAD}  default: [{{deployment: v1, weight: 95.0}}, {{deployment: v2, weight: 5.00}}]\n"

    assert weights_written(text, SHOP, weights(v1=9500, v2=500)) == text


def test_an_alias_of_another_field_is_written_out() -> None:
    text = f"{HEAD}  policy: {{history: &five 5}}\n"
    text += "  default:  # as many\n    - {deployment: v1, weight: 95}\n    - {deployment: v2, weight: *five}\n"

    after = weights_written(text, SHOP, weights(v1=9000, v2=1000))
    assert after == text.replace("weight: 95", "weight: 90").replace("*five", "10")


def test_an_anchor_that_another_field_needs_is_not_touched() -> None:
    text = f"{HEAD}  default: [{{deployment: v1, weight: 95}}, {{deployment: v2, weight: &five 5}}]\n"
    text += "  policy: {history: *five}\n"

    with pytest.raises(NotEdited, match="written with anchors that are used elsewhere"):
        weights_written(text, SHOP, weights(v1=9000, v2=1000))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("a: [", "the file is not YAML", id="no-yaml"),
        pytest.param(gateway(), "is not written there", id="elsewhere"),
        pytest.param(release("shop", "shop.test", gateways=[]), "correct it first", id="broken"),
        pytest.param(f"{release('shop', 'a.test')}---\n{release('shop', 'a.test')}", "written twice", id="twice"),
        pytest.param(
            release("shop", default=[], audiences=[{"name": "a", "hosts": ["a.test"], "deployment": "v1"}]),
            "with a default",
            id="audiences-only",
        ),
    ],
)
def test_what_cannot_be_changed_is_said(text: str, why: str) -> None:
    with pytest.raises(NotEdited, match=why):
        weights_written(text, SHOP, weights(v1=10000))


# --- documents

FILE = f"""\
# Of the shop.
---
# The edge.
{gateway()}\
--- # who gets what
{release("shop", "shop.test")}\
...
# Nobody's.
---

---
{deployment("v1")}"""


def test_a_document_takes_the_place_of_the_one_that_it_replaces() -> None:
    new = f"# Now on another host.\n{release('shop', 'new.test')}# The end.\n"

    after = document_written(FILE, SHOP, new)
    assert after == FILE.replace(f" # who gets what\n{release('shop', 'shop.test')}", f" \n{new}")


def test_a_new_document_is_the_last() -> None:
    new = deployment("v2")

    assert document_written(FILE, Key("AppDeployment", ref("v2")), new) == f"{FILE}---\n{new}"
    assert document_written(FILE.rstrip("\n"), Key("AppDeployment", ref("v2")), new) == f"{FILE}---\n{new}"
    assert document_written("\ufeff", Key("AppDeployment", ref("v2")), new) == f"\ufeff{new}"


def test_the_documents_of_a_file_with_their_comments() -> None:
    assert bodies(FILE) == [
        f"# The edge.\n{gateway()}",
        f"# who gets what\n{release('shop', 'shop.test')}",
        deployment("v1"),
    ]


def test_a_file_that_is_not_yaml_takes_no_document() -> None:
    with pytest.raises(NotEdited, match="is not YAML"):
        document_written("a: [", SHOP, release("shop", "shop.test"))


def test_a_document_is_taken_out_with_its_comments() -> None:
    assert document_removed(FILE, Key("Gateway", ref("edge"))) == FILE.replace(f"---\n# The edge.\n{gateway()}", "")
    assert document_removed(FILE, Key("AppDeployment", ref("v1"))) == FILE.removesuffix(f"---\n{deployment('v1')}")
    assert document_removed(gateway(), Key("Gateway", ref("edge"))) == ""
    with pytest.raises(NotEdited, match="is not written there"):
        document_removed(FILE, Key("Gateway", ref("other")))


# --- laws

NAMES = ("v1", "v2", "v3", "v4")
BLANKS = st.text(" ", max_size=3)
COMMENTS = st.one_of(
    st.just(""), st.text(string.ascii_letters + " -:&*{}[]'\"", max_size=9).map(lambda words: f" #{words}")
)
LINES = st.lists(st.one_of(st.just("\n"), COMMENTS.map(lambda comment: f"    {comment}\n")), max_size=2).map("".join)
SHARES = st.lists(st.integers(0, 10_000), min_size=len(NAMES), max_size=len(NAMES)).map(
    lambda cuts: dict(zip(NAMES, _parts(cuts), strict=True))
)


def _parts(cuts: list[int]) -> list[int]:
    """Of a whole."""
    edges = [0, *sorted(cuts[1:]), 10_000]
    return [high - low for low, high in pairwise(edges)]


@st.composite
def written(draw: st.DrawFn, shares: dict[str, int]) -> tuple[str, list[tuple[int, int]]]:
    """A release in a file of its own style, and where its weights are."""
    line_end = draw(st.sampled_from(("\n", "\r\n")))
    flow = draw(st.booleans())
    indent = draw(st.sampled_from(("  ", "    ", "      ")))
    pieces = [draw(st.sampled_from(("", f"{gateway()}---\n", "# Ours.\n---\n"))), HEAD, "  default:"]
    places: list[tuple[int, int]] = []

    def add(*texts: str) -> None:
        pieces.extend(texts)

    def number(weight: int) -> None:
        text = draw(st.sampled_from((f"{weight / 100}", f"{weight / 100:.9g}", f"{weight / 100:.3f}")))
        anchor = draw(st.sampled_from(("", f"&a{len(places)} ")))
        add(anchor)
        start = len("".join(pieces).replace("\n", line_end))
        places.append((start, start + len(text)))
        add(text)

    add(f" [{draw(BLANKS)}" if flow else f"{draw(COMMENTS)}\n")
    for index, (name, weight) in enumerate(shares.items()):
        quote = draw(st.sampled_from(("", "'", '"')))
        if flow:
            add(", " if index else "", draw(BLANKS), f"{{deployment: {quote}{name}{quote}, {quote}weight{quote}: ")
            number(weight)
            add(draw(BLANKS), "}", draw(BLANKS))
        elif draw(st.booleans()):
            add(draw(LINES), f"{indent}- deployment: {quote}{name}{quote}{draw(COMMENTS)}\n", draw(LINES))
            add(f"{indent}  weight: ")
            number(weight)
            add(f"{draw(COMMENTS)}\n")
        else:
            add(draw(LINES), f"{indent}- {{weight: ")
            number(weight)
            add(f", deployment: {quote}{name}{quote}}}{draw(COMMENTS)}\n")
    add(f"]{draw(COMMENTS)}\n" if flow else "", draw(LINES), "  policy: {history: 3}\n", draw(LINES))
    add(draw(st.sampled_from(("", f"---\n{build('web')}", "...\n"))))
    return "".join(pieces).replace("\n", line_end), places


@given(st.data(), SHARES, SHARES)
def test_everything_but_the_weights_is_the_same_octets(
    data: st.DataObject, before: dict[str, int], after: dict[str, int]
) -> None:
    text, places = data.draw(written(before))
    assert said(text) == before

    edited = weights_written(text, SHOP, tuple((ref(name), weight) for name, weight in after.items()))

    assert said(edited) == after
    assert _without(text, places) == _without(edited, _places_of_weights(edited))


def _without(text: str, places: list[tuple[int, int]]) -> list[str]:
    ends = [0, *(end for _, end in places)]
    starts = [*(start for start, _ in places), len(text)]
    return [text[end:start] for end, start in zip(ends, starts, strict=True)]


def _places_of_weights(text: str) -> list[tuple[int, int]]:
    found = []
    for node in yaml.documents(text):
        for item in _default_of(node):
            value = next(value for key, value in item.value if key.value == "weight")
            found.append((value.end_mark.index - len(value.value), value.end_mark.index))
    return found


def _default_of(node: Any) -> list[Any]:
    spec = next(value for key, value in node.value if key.value == "spec")
    return next((value.value for key, value in spec.value if key.value == "default"), [])


DOCUMENTS = [gateway(), deployment("v1"), deployment("v2"), build("web"), release("shop", "shop.test")]
BETWEEN = st.sampled_from(("---\n", "--- # next\n", "---\n# next\n", "...\n---\n", "---\n---\n", "...\n# none\n---\n"))


@given(st.data(), st.permutations(DOCUMENTS), st.integers(0, len(DOCUMENTS) - 1))
def test_everything_but_the_document_is_the_same_octets(data: st.DataObject, chosen: list[str], which: int) -> None:
    pieces = [data.draw(st.sampled_from(("", "---\n", "# Ours.\n---\n", "%YAML 1.2\n---\n")))]
    for index, each in enumerate(chosen):
        pieces += [data.draw(BETWEEN) if index else "", each]
    text = "".join(pieces)
    key = read_documents("", chosen[which])[0].key
    assert key is not None
    new = chosen[which].replace('"spec"', '"spec" ') + "# new\n"

    after = document_written(text, key, new)

    old = bodies(text)
    assert bodies(after) == [*old[:which], new, *old[which + 1 :]]
    assert after.replace(new, "").replace(" \n", " ") == text.replace(old[which], "").replace(" \n", " ")


@given(st.data(), st.permutations(DOCUMENTS), st.integers(0, len(DOCUMENTS) - 1))
def test_whoever_stays_says_what_they_said(data: st.DataObject, chosen: list[str], which: int) -> None:
    text = chosen[0] + "".join(data.draw(BETWEEN) + each for each in chosen[1:])
    key = read_documents("", chosen[which])[0].key
    assert key is not None

    found = bodies(document_removed(text, key))

    old = bodies(text)
    assert [each.strip() for each in found] == [each.strip() for each in (*old[:which], *old[which + 1 :])]
