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
    HttpFilter,
    MetadataInputMatcher,
    RbacFilter,
)
from xds_server.messages.xds import MatcherMatcherListPredicate, MatcherMatcherListPredicateSinglePredicate
from xds_server.messages.xds import TypedExtensionConfig as MatcherExtension
from xds_server.resources.local_replies import REASON
from xds_server.resources.matchers import skipped
from xds_server.resources.predicates import negated
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


def _has_a_reason() -> MatcherMatcherListPredicate:
    reason = DynamicMetadataInput(filter=METADATA, path=[DynamicMetadataInputPathSegment(key=REASON)])
    there = MetadataInputMatcher(value=ValueMatcher(present_match=True))
    single = MatcherMatcherListPredicateSinglePredicate(
        input=MatcherExtension(name="reason", typed_config=pack(reason)),
        custom_match=MatcherExtension(name="there", typed_config=pack(there)),
    )
    return MatcherMatcherListPredicate(single_predicate=single)


def _count_refusals() -> HttpFilter:
    rules = Rbac(action=RbacAction.DENY, policies={each.reason.value: _policy(each.reason) for each in REFUSALS})
    counts = RbacFilter(shadow_rules=rules, shadow_rules_stat_prefix=PREFIX, track_per_rule_stats=True)
    filter_ = TypedExtensionConfig(name="envoy.filters.http.rbac", typed_config=pack(counts))
    # Its rules cost each request 4 µs, to pass them by next to nothing.
    return skipped("refused", filter_, negated(_has_a_reason()))


COUNT_REFUSALS = _count_refusals()
"""After the filter that stamps: it is that which knows the reason."""
