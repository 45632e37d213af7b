"""What Envoy answers itself is told apart from what routes, and filters of somebody else, answer."""

import json
from typing import Any

import pytest

from tests.resources.edge import gateway, unpacked
from xds_server.messages.codec import pack
from xds_server.messages.envoy import TypedExtensionConfig
from xds_server.messages.extensions import LocalReplyConfig
from xds_server.resources.local_replies import (
    local_replies,
    local_replies_inside,
    local_replies_on_demand,
    local_replies_to_callers,
)

UNROUTED = [("reason", True), ("rule", True)]


Mapper = dict[str, Any]
RECORD = gateway(delivery="full")


def mappers(config: LocalReplyConfig) -> list[Mapper]:
    found: list[Mapper] = unpacked(TypedExtensionConfig(name="", typed_config=pack(config)))["mappers"]
    return found


def early(config: LocalReplyConfig) -> dict[int, Mapper]:
    """Those for requests that were given no route, by status."""
    several = ((each["filter"].get("and_filter", {}).get("filters", []), each) for each in mappers(config))
    return {
        filters[0]["status_code_filter"]["comparison"]["value"]["default_value"]: mapper
        for filters, mapper in several
        if filters and "status_code_filter" in filters[0]
    }


def unrouted(config: LocalReplyConfig) -> list[Mapper]:
    return [each for each in mappers(config) if "'NR'" in str(each["filter"])]


def tunnel(config: LocalReplyConfig) -> Mapper:
    return unrouted(config)[0]


def said(mapper: Mapper) -> dict[str, str]:
    """The words of a mapper, of either form."""
    written = mapper["body_format_override"]
    found: dict[str, str] = written.get("json_format") or json.loads(written["text_format_source"]["inline_string"])
    return found


@pytest.mark.parametrize("status", [400, 403, 404, 408, 426, 431, 501])
def test_what_is_answered_before_a_route_says_why_and_no_answer_of_a_route_is_taken_for_it(status: int) -> None:
    mapper = early(local_replies())[status]
    *_, reason, rule = mapper["filter"]["and_filter"]["filters"]
    kept = [each["metadata_filter"] for each in (reason, rule)]

    assert [(each["matcher"]["path"][0]["key"], each["match_if_key_not_found"]) for each in kept] == UNROUTED
    assert {each["matcher"]["value"]["string_match"]["exact"] for each in kept} == {"-"}
    assert said(mapper)["reason"]


@pytest.mark.parametrize("config", [local_replies(), local_replies_on_demand(RECORD)], ids=["full", "on-demand"])
def test_strangers_are_told_in_plain_words_and_nothing_of_the_inside(config: LocalReplyConfig) -> None:
    messages = [said(each)["message"] for each in (*early(config).values(), tunnel(config))]

    assert all(messages)
    assert not [each for each in messages if "%" in each or "policy" in each or "http://" in each]


@pytest.mark.parametrize("config", [local_replies_inside(), local_replies_to_callers()], ids=["calls", "callers"])
def test_inside_it_is_told_what_envoy_calls_it_and_what_helps(config: LocalReplyConfig) -> None:
    messages = {status: said(each)["message"] for status, each in early(config).items()}

    assert all(each.endswith(": %RESPONSE_CODE_DETAILS%") for each in messages.values())
    assert "policy.upgrades" in messages[403]
    assert "http://" in said(tunnel(config))["message"]


@pytest.mark.parametrize(("status", "header"), [(403, "upgrade"), (404, ":path")])
def test_a_status_that_filters_answer_with_too_is_told_from_theirs(status: int, header: str) -> None:
    [_, told, *_] = early(local_replies())[status]["filter"]["and_filter"]["filters"]

    assert told["header_filter"]["header"]["name"] == header


@pytest.mark.parametrize(
    ("config", "others"),
    [
        (local_replies(), ["NoRoute"]),
        (local_replies_inside(), ["NoRoute"]),
        (local_replies_on_demand(RECORD), ["DeploymentUnknown", "HostUnknown", "NoRoute"]),
    ],
    ids=["full", "inside", "on-demand"],
)
def test_a_tunnel_is_refused_before_what_else_has_no_route(config: LocalReplyConfig, others: list[str]) -> None:
    first, *rest = unrouted(config)

    assert "CONNECT" in said(first)["message"]
    assert [said(each)["reason"] for each in (first, *rest)] == ["NoRoute", *others]
