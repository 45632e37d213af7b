from typing import Any

import pytest

from tests.records.folder import SHOP, Server, release
from tests.resources.matching import routes_for
from xds_server.messages.codec import to_json
from xds_server.pipeline import compile_world
from xds_server.snapshot import TypeUrl


def is_in(match: dict[str, Any], request: dict[str, str]) -> bool:
    """The request is one of the audience with this match."""
    audience = {"name": "beta", "match": match, "deployment": "v2"}
    server = Server({**SHOP, "shop.yaml": release("shop", "shop.test", audiences=[audience])})
    assert server.said == ""
    [parts] = compile_world(server.admission.world).gateways.values()
    said = to_json(TypeUrl.ROUTES, parts.snapshot.of(TypeUrl.ROUTES)["edge/http"].body)
    [host] = [each for each in said["virtual_hosts"] if each["domains"] == ["shop.test"]]
    return bool(routes_for(host, {":path": "/", **request})[0]["name"].startswith("beta/"))


@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        ({"exact": "a"}, ["a"], ["b", "ab", "a,a", None]),
        ({"prefix": "a"}, ["a", "ab"], ["ba", None]),
        ({"suffix": "a"}, ["a", "ba"], ["ab", None]),
        ({"contains": "a"}, ["a", "bab"], ["b", None]),
        ({"regex": "a+"}, ["a", "aaa"], ["ab", "", None]),
        ({"present": True}, ["a", ""], [None]),
        ({"present": False}, [None], ["a", ""]),
        ({"exact": "a", "invert": True}, ["b", None], ["a"]),
        ({"present": True, "invert": True}, [None], ["a"]),
        ({"present": False, "invert": True}, ["a"], [None]),
    ],
    ids=lambda each: " ".join(f"{key}:{value}" for key, value in each.items()) if isinstance(each, dict) else "",
)
def test_a_condition_on_a_header(condition: dict[str, Any], holds: list[str | None], fails: list[str | None]) -> None:
    match = {"headers": [{"name": "X-Group", **condition}]}

    for value in (*holds, *fails):
        assert is_in(match, {} if value is None else {"x-group": value}) == (value in holds), value


@pytest.mark.parametrize(
    ("match", "holds", "fails"),
    [
        (
            {"query": [{"name": "b", "exact": "1"}]},
            ["/?b=1", "/?a&b=1&c", "/?%62=%31"],
            ["/", "/b=1", "/?b=2", "/?xb=1"],
        ),
        ({"query": [{"name": "b", "prefix": "1"}]}, ["/?b=1", "/?b=12"], ["/?b=21"]),
        ({"query": [{"name": "b", "present": True}]}, ["/?b", "/?b=1"], ["/", "/?bb"]),
        ({"query": [{"name": "b", "present": False}]}, ["/", "/?bb"], ["/?b", "/?b=1"]),
    ],
    ids=["exact", "prefix", "present", "absent"],
)
def test_a_condition_on_a_query_parameter(match: dict[str, Any], holds: list[str], fails: list[str]) -> None:
    for path in (*holds, *fails):
        assert is_in(match, {":path": path}) == (path in holds), path


@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        ({"exact": "1"}, ["b=1", "a=2; b=1", "a=2,b=1; c"], ["b=2", "xb=1", None]),
        ({"prefix": "1"}, ["b=1", "b=12; c"], ["b=21", None]),
        ({"present": True}, ["b=", "a; b=1"], ["a=b", None]),
        ({"present": False}, [None, "a=b"], ["b=1"]),
    ],
    ids=["exact", "prefix", "present", "absent"],
)
def test_a_condition_on_a_cookie(condition: dict[str, Any], holds: list[str | None], fails: list[str | None]) -> None:
    match = {"cookies": [{"name": "b", **condition}]}

    for value in (*holds, *fails):
        assert is_in(match, {} if value is None else {"cookie": value}) == (value in holds), value


def test_all_conditions_must_hold() -> None:
    both = {"headers": [{"name": "a", "exact": "1"}], "cookies": [{"name": "b", "exact": "2"}]}

    assert is_in(both, {"a": "1", "cookie": "b=2"})
    assert not is_in(both, {"a": "1"})
    assert not is_in(both, {"cookie": "b=2"})
