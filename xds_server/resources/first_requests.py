"""The filter of a gateway that holds a request until the virtual host and the cluster that it needs have come.

What it asks for Envoy keeps for as long as it lives, and the server for as long as the stream: some hundred bytes, but
for the name itself. A `Host` may be as long as all headers together, and be another one each time. So nobody is asked
for one that is longer than a name of DNS with a port may be: it is nobody's, like every other host that is not there.
"""

from datetime import timedelta

from xds_server.messages.codec import pack
from xds_server.messages.envoy import TypedExtensionConfig
from xds_server.messages.extensions import ExtensionWithMatcher, HttpFilter, OnDemand, OnDemandCds, SkipFilter
from xds_server.messages.xds import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicateSinglePredicate,
    MatcherOnMatch,
    RegexMatcher,
    StringMatcher,
)
from xds_server.messages.xds import TypedExtensionConfig as MatcherExtension
from xds_server.resources.predicates import RE2, header_input
from xds_server.resources.sources import FROM_ADS

CLUSTER_WITHIN = timedelta(seconds=1.5)
LONGEST = 253 + len(":65535")
"""Characters of a host with its port."""
NAME = "envoy.filters.http.on_demand"


def _too_long() -> Matcher:
    longer = MatcherMatcherListPredicateSinglePredicate(
        input=header_input(":authority"),
        value_match=StringMatcher(safe_regex=RegexMatcher(google_re2=RE2, regex=rf"\C{{{LONGEST + 1},}}")),
    )
    skip = MatcherOnMatch(action=MatcherExtension(name="skip", typed_config=pack(SkipFilter())))
    predicate = MatcherMatcherListPredicate(single_predicate=longer)
    return Matcher(
        matcher_list=MatcherMatcherList(matchers=[MatcherMatcherListFieldMatcher(predicate=predicate, on_match=skip)])
    )


def _on_demand() -> HttpFilter:
    asks = OnDemand(odcds=OnDemandCds(source=FROM_ADS, timeout=CLUSTER_WITHIN))
    filter_ = TypedExtensionConfig(name=NAME, typed_config=pack(asks))
    where = ExtensionWithMatcher(extension_config=filter_, xds_matcher=_too_long())
    return HttpFilter(name=NAME, typed_config=pack(where))


ON_DEMAND = _on_demand()
"""The first of all: one in front of it would see no route on a first request."""
