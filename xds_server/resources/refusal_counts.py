"""How often a sidecar refuses a request, by reason, in Envoy's statistics.

Envoy counts what it answers itself by its listener alone, whatever the answer says. The shadow rules of its RBAC filter
count by policy and refuse nobody. A policy is a reason, which the Lua filter has read from the route's name; whoever
has none passes the filter by.
"""

from xds_server.domain.names import METADATA
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    MetadataMatcher,
    MetadataMatcherPathSegment,
    Permission,
    Policy,
    Principal,
    Rbac,
    RbacAction,
    SourcedMetadata,
    StringMatcher,
    TypedExtensionConfig,
    ValueMatcher,
)
from xds_server.messages.extensions import (
    DynamicMetadataInput,
    DynamicMetadataInputPathSegment,
    ExtensionWithMatcher,
    HttpFilter,
    MetadataInputMatcher,
    RbacFilter,
    SkipFilter,
)
from xds_server.messages.xds import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicateSinglePredicate,
    MatcherOnMatch,
)
from xds_server.messages.xds import TypedExtensionConfig as MatcherExtension
from xds_server.resources.local_replies import REASON
from xds_server.traffic.intents import (
    BUILD_UNKNOWN,
    CALL_UNDECLARED,
    COMPONENT_ABSENT,
    COMPONENT_UNKNOWN,
    CONTEXT_UNKNOWN,
    NO_CONTEXT,
)

REFUSALS = (COMPONENT_UNKNOWN, COMPONENT_ABSENT, CALL_UNDECLARED, CONTEXT_UNKNOWN, NO_CONTEXT, BUILD_UNKNOWN)
"""All that a sidecar answers because of what its records say."""
PREFIX = "refused."
"""A count is `http.<listener>.rbac.refused.policy.<reason>.shadow_denied`."""


def _policy(reason: str) -> Policy:
    said = MetadataMatcher(
        filter=METADATA,
        path=[MetadataMatcherPathSegment(key=REASON)],
        value=ValueMatcher(string_match=StringMatcher(exact=reason)),
    )
    return Policy(
        permissions=[Permission(sourced_metadata=SourcedMetadata(metadata_matcher=said))],
        principals=[Principal(any=True)],
    )


def _unless_refused() -> Matcher:
    """Skips the filter for whoever has no reason: its rules cost each request 4 µs, this next to nothing."""
    reason = DynamicMetadataInput(filter=METADATA, path=[DynamicMetadataInputPathSegment(key=REASON)])
    there = MetadataInputMatcher(value=ValueMatcher(present_match=True))
    refused = MatcherMatcherListPredicateSinglePredicate(
        input=MatcherExtension(name="reason", typed_config=pack(reason)),
        custom_match=MatcherExtension(name="there", typed_config=pack(there)),
    )
    skip = MatcherOnMatch(action=MatcherExtension(name="skip", typed_config=pack(SkipFilter())))
    others = MatcherMatcherListPredicate(not_matcher=MatcherMatcherListPredicate(single_predicate=refused))
    return Matcher(
        matcher_list=MatcherMatcherList(matchers=[MatcherMatcherListFieldMatcher(predicate=others, on_match=skip)])
    )


def _count_refusals() -> HttpFilter:
    rules = Rbac(action=RbacAction.DENY, policies={each.reason.value: _policy(each.reason) for each in REFUSALS})
    counts = RbacFilter(shadow_rules=rules, shadow_rules_stat_prefix=PREFIX, track_per_rule_stats=True)
    filter_ = TypedExtensionConfig(name="envoy.filters.http.rbac", typed_config=pack(counts))
    where = ExtensionWithMatcher(extension_config=filter_, xds_matcher=_unless_refused())
    return HttpFilter(name="refused", typed_config=pack(where))


COUNT_REFUSALS = _count_refusals()
"""After the filter that stamps: it is that which knows the reason."""
