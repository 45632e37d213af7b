"""Conditions of the matcher tree that gives a request its deployment. Inputs are request headers, whole."""

from functools import cache, lru_cache
from typing import NewType

from xds_server.messages.codec import encode, pack
from xds_server.messages.envoy import HttpRequestHeaderMatchInput
from xds_server.messages.extensions import ConsistentHashing
from xds_server.messages.xds import (
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicatePredicateList,
    MatcherMatcherListPredicateSinglePredicate,
    RegexMatcher,
    RegexMatcherGoogleRe2,
    StringMatcher,
    TypedExtensionConfig,
)
from xds_server.records.matches import AudienceMatch, AudienceQueryMatch, CookieMatch, HeaderMatch
from xds_server.traffic import expressions
from xds_server.traffic.slots import SLOTS

RE2 = RegexMatcherGoogleRe2()
ANYTHING = r"\C+"
"""Any value but an empty one. `.` matches no line break and no byte that is not UTF-8; a query may hold both."""

Predicate = NewType("Predicate", bytes)
"""An encoded `Matcher.MatcherList.Predicate`."""


@cache
def header_input(name: str) -> TypedExtensionConfig:
    return TypedExtensionConfig(name="h", typed_config=pack(HttpRequestHeaderMatchInput(header_name=name)))


@lru_cache(maxsize=4096)
def audience(match: AudienceMatch) -> Predicate:
    """All of the conditions."""
    conditions = [
        *(_header(condition) for condition in match.headers),
        *(_query(condition) for condition in match.query),
        *(_cookie(condition) for condition in match.cookies),
    ]
    return Predicate(encode(_all(conditions)))


@lru_cache(maxsize=4096)
def header_regex(name: str, regex: str) -> Predicate:
    return Predicate(encode(header_matches(name, regex)))


def hash_at_least(name: str, threshold: int, seed: int) -> Predicate:
    """The slot of the header's value, by Envoy's consistent hash, is `threshold` or more."""
    hashing = ConsistentHashing(modulo=SLOTS, threshold=threshold, seed=seed)
    single = MatcherMatcherListPredicateSinglePredicate(
        input=header_input(name),
        custom_match=TypedExtensionConfig(name="consistent-hashing", typed_config=pack(hashing)),
    )
    return Predicate(encode(MatcherMatcherListPredicate(single_predicate=single)))


def header_matches(name: str, regex: str) -> MatcherMatcherListPredicate:
    return _single(name, StringMatcher(safe_regex=RegexMatcher(google_re2=RE2, regex=regex)))


def _header(match: HeaderMatch) -> MatcherMatcherListPredicate:
    if match.present is not None:
        found = header_matches(match.name, r"\C*")
        return found if match.present != match.invert else negated(found)
    found = _single(match.name, _string_matcher(match))
    return negated(found) if match.invert else found


def _string_matcher(match: HeaderMatch) -> StringMatcher:
    if match.exact is not None:
        return StringMatcher(exact=match.exact)
    if match.prefix is not None:
        return StringMatcher(prefix=match.prefix)
    if match.suffix is not None:
        return StringMatcher(suffix=match.suffix)
    if match.contains is not None:
        return StringMatcher(contains=match.contains)
    return StringMatcher(safe_regex=RegexMatcher(google_re2=RE2, regex=match.regex or ""))


def _query(match: AudienceQueryMatch) -> MatcherMatcherListPredicate:
    if match.exact is not None:
        return header_matches(":path", expressions.query_exact(match.name, match.exact))
    if match.prefix is not None:
        return header_matches(":path", expressions.query_prefix(match.name, match.prefix))
    found = header_matches(":path", expressions.query_present(match.name))
    return found if match.present else negated(found)


def _cookie(match: CookieMatch) -> MatcherMatcherListPredicate:
    if match.exact is not None:
        return header_matches("cookie", expressions.cookie_exact(match.name, match.exact))
    if match.prefix is not None:
        return header_matches("cookie", expressions.cookie_prefix(match.name, match.prefix))
    found = header_matches("cookie", expressions.cookie_present(match.name))
    return found if match.present else negated(found)


def _single(name: str, value: StringMatcher) -> MatcherMatcherListPredicate:
    single = MatcherMatcherListPredicateSinglePredicate(input=header_input(name), value_match=value)
    return MatcherMatcherListPredicate(single_predicate=single)


def negated(predicate: MatcherMatcherListPredicate) -> MatcherMatcherListPredicate:
    return MatcherMatcherListPredicate(not_matcher=predicate)


def _all(predicates: list[MatcherMatcherListPredicate]) -> MatcherMatcherListPredicate:
    if len(predicates) == 1:
        return predicates[0]
    return MatcherMatcherListPredicate(and_matcher=MatcherMatcherListPredicatePredicateList(predicate=predicates))
