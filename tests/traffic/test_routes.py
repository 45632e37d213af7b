import itertools
from typing import Any

import pytest

from xds_server.records.models import API_VERSION, AppDeployment
from xds_server.traffic.routes import deployment_routes

HEADER = {"name": "x-beta", "exact": "1"}
QUERY = {"name": "q", "exact": "1"}


def ordered(components: dict[str, list[dict[str, Any]]]) -> list[str]:
    record = AppDeployment.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "AppDeployment",
            "metadata": {"name": "v1"},
            "spec": {
                "app": "shop",
                "components": {name: {"build": "b1", "routes": routes} for name, routes in components.items()},
            },
        }
    )
    return [intent.id for intent in deployment_routes(record).routes]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"path": "/a"}, {"pathRegex": "/a.*long"}, id="exact-before-regex"),
        pytest.param({"pathRegex": "/a"}, {"pathPrefix": "/a/long"}, id="regex-before-prefix"),
        pytest.param({"pathRegex": "/ab"}, {"pathRegex": "/a"}, id="longer-regex-first"),
        pytest.param({"pathPrefix": "/a/b"}, {"pathPrefix": "/a"}, id="longer-prefix-first"),
        pytest.param({"pathPrefix": "/a"}, {"headers": [HEADER]}, id="path-before-no-path"),
        pytest.param({"methods": ["GET"]}, {"headers": [HEADER]}, id="methods-before-headers"),
        pytest.param({"headers": [HEADER]}, {"query": [QUERY]}, id="headers-before-query"),
        pytest.param({"headers": [HEADER, HEADER]}, {"headers": [HEADER]}, id="more-headers-first"),
        pytest.param({"query": [QUERY]}, {}, id="query-before-nothing"),
    ],
)
def test_the_more_specific_rule_is_tried_first(first: dict[str, Any], second: dict[str, Any]):
    assert ordered({"a": [first], "b": [second]}) == ["a.0", "b.0"]
    assert ordered({"a": [second], "b": [first]}) == ["b.0", "a.0"]
    assert ordered({"a": [second, first]}) == ["a.1", "a.0"]


def test_equal_rules_are_tried_by_component_name_then_place():
    assert ordered({"b": [{"pathPrefix": "/x"}], "a": [{"pathPrefix": "/y"}, {"pathPrefix": "/z"}]}) == [
        "a.0", "a.1", "b.0"
    ]  # fmt: skip


def test_the_order_of_components_in_a_record_changes_nothing():
    components = {name: [{"pathPrefix": f"/{name}"}, {}] for name in "abc"}
    orders = {tuple(ordered(dict(items))) for items in itertools.permutations(components.items())}

    assert len(orders) == 1
