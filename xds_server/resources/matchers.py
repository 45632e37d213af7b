"""Matchers of one condition, and the filters that they let requests pass by."""

from xds_server.messages.codec import pack
from xds_server.messages.envoy import TypedExtensionConfig as EnvoyExtension
from xds_server.messages.extensions import ExtensionWithMatcher, HttpFilter, SkipFilter
from xds_server.messages.xds import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherOnMatch,
    TypedExtensionConfig,
)


def matcher(where: MatcherMatcherListPredicate, action: TypedExtensionConfig) -> Matcher:
    """The action, where this holds; nothing elsewhere."""
    field = MatcherMatcherListFieldMatcher(predicate=where, on_match=MatcherOnMatch(action=action))
    return Matcher(matcher_list=MatcherMatcherList(matchers=[field]))


def skipped(name: str, filter_: EnvoyExtension, where: MatcherMatcherListPredicate) -> HttpFilter:
    """The filter, but for requests of which this holds: they pass it by."""
    skip = TypedExtensionConfig(name="skip", typed_config=pack(SkipFilter()))
    passed = ExtensionWithMatcher(extension_config=filter_, xds_matcher=matcher(where, skip))
    return HttpFilter(name=name, typed_config=pack(passed))
