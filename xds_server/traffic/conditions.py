"""Whether a request meets a condition of a record, and why, in words.

Every expression that Envoy is given is tried here as Envoy tries it: by RE2, on the bytes, the whole value.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import re2

from xds_server.records.matches import (
    AudienceMatch,
    AudienceQueryMatch,
    CookieMatch,
    HeaderMatch,
    QueryMatch,
    RouteRule,
)
from xds_server.traffic import expressions
from xds_server.traffic.requests import Seen


class Verdict(NamedTuple):
    """Whether it holds, and why or why not."""

    holds: bool
    because: str


BYTES = re2.Options()
BYTES.encoding = re2.Options.Encoding.LATIN1
"""As Envoy 1.40 reads expressions: a character is a byte. Envoy 1.36 reads UTF-8."""


def matches(expression: str, value: str | None) -> bool:
    """The expression has the whole value. A header that is absent matches none."""
    return value is not None and bool(_compiled(expression).fullmatch(value.encode("utf-8", "surrogateescape")))


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Any:
    return re2.compile(expression.encode(), BYTES)


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The first that fails, or all of them."""
    reasons = []
    for verdict in verdicts:
        if not verdict.holds:
            return verdict
        reasons.append(verdict.because)
    return Verdict(True, " and ".join(reasons))


def audience(match: AudienceMatch, request: Seen) -> Verdict:
    return all_of(
        [
            *(_header(each, request.header(each.name)) for each in match.headers),
            *(_audience_query(each, request) for each in match.query),
            *(_cookie(each, request) for each in match.cookies),
        ]
    )


def route_rule(rule: RouteRule, request: Seen) -> Verdict:
    verdicts = [_path(rule, request.bare_path)]
    if rule.methods:
        named = request.method in rule.methods
        methods = " or ".join(sorted(rule.methods))
        verdicts.append(Verdict(named, f"method is {request.method}" + ("" if named else f", not {methods}")))
    verdicts += [_route_header(each, request.lines.get(each.name)) for each in rule.headers]
    verdicts += [_query(each, request) for each in rule.query]
    return all_of(verdicts)


def _path(rule: RouteRule, path: str) -> Verdict:
    if rule.path is not None:
        holds = path == rule.path
        return Verdict(holds, f"path is {path}" + ("" if holds else f", not {rule.path}"))
    if rule.path_regex is not None:
        holds = matches(rule.path_regex, path)
        return Verdict(holds, f"path {path} {'matches' if holds else 'does not match'} {rule.path_regex}")
    prefix = rule.path_prefix or "/"
    if prefix == "/":
        return Verdict(True, "every path is under /")
    holds = path == prefix or path.startswith(prefix + "/")
    return Verdict(holds, f"path {path} is {'' if holds else 'not '}under {prefix}")


def _header(match: HeaderMatch, value: str | None) -> Verdict:
    subject = f"header {match.name}"
    if match.present is not None:
        return Verdict((value is not None) == (match.present != match.invert), _presence(subject, value))
    if value is None:
        return Verdict(match.invert, f"{subject} is absent")
    verdict = _compared(match, subject, value)
    return verdict._replace(holds=verdict.holds != match.invert)


def _route_header(match: HeaderMatch, lines: tuple[str, ...] | None) -> Verdict:
    """Envoy asks each line alone, and one is enough. Inverted, an absent header is an empty one."""
    if lines is None:
        absent = _header(match, None)
        empty = match.present is None and match.invert and _header(match, "").holds
        return absent._replace(holds=empty if match.present is None else absent.holds)
    verdicts = [_header(match, line) for line in lines]
    return next((each for each in verdicts if each.holds != match.invert), verdicts[0])


def _query(match: QueryMatch, request: Seen) -> Verdict:
    """The first value counts, as it was sent."""
    value = request.first_parameter(match.name)
    subject = f"query parameter {match.name}"
    if match.present is not None:
        return Verdict((value is not None) == match.present, _presence(subject, value))
    return Verdict(False, f"{subject} is absent") if value is None else _compared(match, subject, value)


def _presence(subject: str, value: str | None) -> str:
    return f"{subject} is {'absent' if value is None else 'present'}"


def _compared(match: HeaderMatch | QueryMatch, subject: str, value: str) -> Verdict:
    """Without a look at `invert`: the words say what is so, whatever is wanted."""
    if match.exact is not None:
        holds = value == match.exact
        return Verdict(holds, f"{subject} is {value!r}" + ("" if holds else f", not {match.exact!r}"))
    holds, wanted = _relation(match, value)
    verb = wanted[0] if holds else f"does not {wanted[1]}"
    return Verdict(holds, f"{subject} is {value!r}, which {verb} {wanted[2]}")


def _relation(match: HeaderMatch | QueryMatch, value: str) -> tuple[bool, tuple[str, str, str]]:
    if match.regex is not None:
        return matches(match.regex, value), ("matches", "match", match.regex)
    if match.prefix is not None:
        return value.startswith(match.prefix), ("begins with", "begin with", repr(match.prefix))
    assert isinstance(match, HeaderMatch)
    if match.suffix is not None:
        return value.endswith(match.suffix), ("ends with", "end with", repr(match.suffix))
    contained = match.contains or ""
    return contained in value, ("contains", "contain", repr(contained))


def _audience_query(match: AudienceQueryMatch, request: Seen) -> Verdict:
    name, subject = match.name, f"query parameter {match.name}"
    if match.exact is not None:
        return _found(expressions.query_exact(name, match.exact), request.path, f"{subject} with {match.exact!r}")
    if match.prefix is not None:
        return _found(expressions.query_prefix(name, match.prefix), request.path, f"{subject} with {match.prefix!r}...")
    return _wanted(_found(expressions.query_present(name), request.path, subject), present=bool(match.present))


def _cookie(match: CookieMatch, request: Seen) -> Verdict:
    name, cookies, subject = match.name, request.header("cookie"), f"cookie {match.name}"
    if match.exact is not None:
        return _found(expressions.cookie_exact(name, match.exact), cookies, f"{subject} with {match.exact!r}")
    if match.prefix is not None:
        return _found(expressions.cookie_prefix(name, match.prefix), cookies, f"{subject} with {match.prefix!r}...")
    return _wanted(_found(expressions.cookie_present(name), cookies, subject), present=bool(match.present))


def _found(expression: str, value: str | None, subject: str) -> Verdict:
    holds = matches(expression, value)
    return Verdict(holds, f"{subject} is {'present' if holds else 'absent'}")


def _wanted(found: Verdict, *, present: bool) -> Verdict:
    return found._replace(holds=found.holds == present)
