"""What Envoy answers itself is told apart from what routes, and filters of somebody else, answer."""

from typing import Any

import pytest

from tests.resources.edge import gateway, listeners, manager

UNROUTED = [("reason", True), ("rule", True)]


def mappers() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manager(listeners(gateway(delivery="full"))["http"])["local_reply_config"]["mappers"]
    return found


def early() -> dict[int, dict[str, Any]]:
    """Those for requests that were given no route, by status."""
    several = (each["filter"].get("and_filter", {}).get("filters", []) for each in mappers())
    return {
        filters[0]["status_code_filter"]["comparison"]["value"]["default_value"]: mapper
        for filters, mapper in zip(several, mappers(), strict=True)
        if filters and "status_code_filter" in filters[0]
    }


@pytest.mark.parametrize("status", [400, 403, 404, 408, 426, 431, 501])
def test_what_is_answered_before_a_route_says_why_and_no_answer_of_a_route_is_taken_for_it(status: int) -> None:
    mapper = early()[status]
    *_, reason, rule = mapper["filter"]["and_filter"]["filters"]
    kept = [each["metadata_filter"] for each in (reason, rule)]

    assert [(each["matcher"]["path"][0]["key"], each["match_if_key_not_found"]) for each in kept] == UNROUTED
    assert {each["matcher"]["value"]["string_match"]["exact"] for each in kept} == {"-"}
    said = mapper["body_format_override"]["json_format"]
    assert said["reason"]
    assert said["message"].endswith(": %RESPONSE_CODE_DETAILS% %LOCAL_REPLY_BODY%")


@pytest.mark.parametrize(("status", "header"), [(403, "upgrade"), (404, ":path")])
def test_a_status_that_filters_answer_with_too_is_told_from_theirs(status: int, header: str) -> None:
    [_, told, *_] = early()[status]["filter"]["and_filter"]["filters"]

    assert told["header_filter"]["header"]["name"] == header


def test_a_tunnel_is_refused_before_what_else_has_no_route() -> None:
    unrouted = [each for each in mappers() if "NR" in str(each["filter"])]
    messages = [each["body_format_override"]["json_format"]["message"] for each in unrouted]

    assert "CONNECT" in messages[0]
    assert messages[1:] == ["%LOCAL_REPLY_BODY%"]
