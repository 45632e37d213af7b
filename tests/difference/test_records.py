import json
from typing import Any

import pytest

from tests.difference.edits import FILES, edited, header, shares, shop
from tests.records.folder import build, deployment, documents
from xds_server.difference.change import Change
from xds_server.difference.records import FieldChange, field_changes


def changes(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    return {each.path: (each.before, each.after) for each in field_changes(before, after)}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, {"a.b": (1, 2)}, id="a field"),
        pytest.param({"a": 1}, {"b": 1}, {"a": (1, None), "b": (None, 1)}, id="another field"),
        pytest.param({"hosts": ["a", "b"]}, {"hosts": ["b", "a"]}, {}, id="the order of plain values"),
        pytest.param({"hosts": ["a"]}, {"hosts": ["a", "b"]}, {"hosts": (["a"], ["a", "b"])}, id="a longer list"),
        pytest.param(
            {"default": shares(v1=90, v2=10)},
            {"default": shares(v2=20, v1=80)},
            {"default.v1.weight": (90, 80), "default.v2.weight": (10, 20)},
            id="items by what tells them apart",
        ),
        pytest.param(
            {"audiences": [header("a", "v1"), header("b", "v1")]},
            {"audiences": [header("b", "v1"), header("a", "v1")]},
            {"audiences": (["a", "b"], ["b", "a"])},
            id="an order that matters",
        ),
        pytest.param(
            {"headers": [{"name": "x", "exact": "1"}, {"name": "x", "exact": "2"}]},
            {"headers": [{"name": "x", "exact": "1"}, {"name": "x", "exact": "3"}]},
            {"headers.1.exact": ("2", "3")},
            id="items that nothing tells apart",
        ),
        pytest.param(
            {}, {"audiences": [header("a", "v1")]}, {"audiences.a": (None, header("a", "v1"))}, id="the first item"
        ),
        pytest.param({"hosts": ["a"]}, {}, {"hosts": (["a"], None)}, id="a list that goes"),
        pytest.param({"hosts": []}, {"hosts": ["a"]}, {"hosts": ([], ["a"])}, id="a list that was empty"),
        pytest.param({"a": {}}, {"a": {"b": 1}}, {"a.b": (None, 1)}, id="a mapping that was empty"),
    ],
)
def test_the_fields_that_differ(before: Any, after: Any, expected: dict[str, tuple[Any, Any]]):
    assert changes(before, after) == expected


def test_a_record_comes_changes_and_goes():
    found = edited(
        {
            "v4.yaml": deployment("v4", "b1"),
            "v3.yaml": None,
            "shop.yaml": shop(default=shares(v1=99, v2=1)),
        }
    )

    assert [(str(each.key), each.change) for each in found.records] == [
        ("AppDeployment/default/v3", Change.REMOVED),
        ("AppDeployment/default/v4", Change.ADDED),
        ("Release/default/shop", Change.CHANGED),
    ]
    assert found.records[2].fields == (
        FieldChange("spec.default.v1.weight", None, 99),
        FieldChange("spec.default.v2", None, {"deployment": "v2", "weight": 1}),
    )


def reordered(text: str) -> str:
    return json.dumps(dict(reversed(json.loads(text).items())))


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"shop.yaml": "# who gets what\n" + FILES["shop.yaml"]}, id="a comment"),
        pytest.param({"shop.yaml": reordered(FILES["shop.yaml"])}, id="the order of fields"),
        pytest.param({"builds.yaml": documents(*reversed(FILES["builds.yaml"].split("---\n")))}, id="of documents"),
        pytest.param({"shop.yaml": None, "elsewhere.yaml": FILES["shop.yaml"]}, id="another file"),
        pytest.param(
            {"builds.yaml": documents(build("web-1", protocol="http1"), *FILES["builds.yaml"].split("---\n")[1:])},
            id="a default that is written out",
        ),
    ],
)
def test_what_means_the_same_is_no_difference(edit: dict[str, str | None]):
    found = edited(edit)

    assert not found.changes
    assert found.refused == ()
