"""How Envoy reads a virtual host's matcher tree, as far as ours use it: which list of routes a request gets."""

from collections.abc import Iterator, Mapping
from typing import Any

import re2

Json = Mapping[str, Any]
Request = Mapping[str, str]
"""Header names with their values, several lines joined by commas."""


def routes_for(virtual_host: Json, request: Request) -> list[Json]:
    """The routes that the request is tried against."""
    chosen = _matcher(virtual_host["matcher"], request)
    assert chosen is not None, "no list of routes: Envoy 1.37 would ask for a host that is loaded, and hang"
    found: list[Json] = chosen["typed_config"]["routes"]
    return found


def _matcher(matcher: Json, request: Request) -> Json | None:
    for on_match in _candidates(matcher, request):
        found = _on_match(on_match, request)
        # A nested matcher that finds nothing falls through to the next one.
        if found is not None:
            return found
    return _on_match(matcher["on_no_match"], request) if "on_no_match" in matcher else None


def _candidates(matcher: Json, request: Request) -> Iterator[Json]:
    for each in matcher.get("matcher_list", {}).get("matchers", ()):
        if _holds(each["predicate"], request):
            yield each["on_match"]
    if "matcher_tree" in matcher:
        tree = matcher["matcher_tree"]
        found = tree["exact_match_map"]["map"].get(request.get(tree["input"]["typed_config"]["header_name"]))
        if found is not None:
            yield found


def _on_match(on_match: Json, request: Request) -> Json | None:
    if "matcher" in on_match:
        return _matcher(on_match["matcher"], request)
    found: Json = on_match["action"]
    return found


def _holds(predicate: Json, request: Request) -> bool:
    match predicate:
        case {"and_matcher": {"predicate": several}}:
            return all(_holds(each, request) for each in several)
        case {"not_matcher": one}:
            return not _holds(one, request)
        case {"single_predicate": {"input": asked, "value_match": condition}}:
            value = request.get(asked["typed_config"]["header_name"])
            return value is not None and _matches(condition, value)
        case _:
            raise AssertionError(predicate)


def _matches(condition: Json, value: str) -> bool:
    [(kind, text)] = condition.items()
    match kind:
        case "exact":
            return bool(value == text)
        case "prefix":
            return value.startswith(str(text))
        case "suffix":
            return value.endswith(str(text))
        case "contains":
            return str(text) in value
        case "safe_regex":
            return re2.fullmatch(text["regex"], value) is not None
        case _:
            raise AssertionError(kind)


def matchers(node: Any) -> Iterator[Json]:
    """Every matcher in a message, however deep."""
    if isinstance(node, dict):
        if "matcher_list" in node or "matcher_tree" in node or "on_no_match" in node:
            yield node
        for each in node.values():
            yield from matchers(each)
    elif isinstance(node, list):
        for each in node:
            yield from matchers(each)


def route_lists(node: Any) -> Iterator[list[Json]]:
    """Every list of routes in a message."""
    if isinstance(node, dict):
        if str(node.get("@type", "")).endswith("RouteList"):
            yield node["routes"]
        for each in node.values():
            yield from route_lists(each)
    elif isinstance(node, list):
        for each in node:
            yield from route_lists(each)
