"""The filter of a gateway that holds a request until the virtual host and the cluster that it needs have come.

What it asks for Envoy keeps for as long as it lives, and the server for as long as the stream: some hundred bytes, but
for the name itself. A `Host` may be as long as all headers together, and be another one each time. So nobody is asked
for one that is longer than a name of DNS with a port may be: it is nobody's, like every other host that is not there.
"""

from datetime import timedelta

from xds_server.messages.codec import pack
from xds_server.messages.envoy import TypedExtensionConfig
from xds_server.messages.extensions import OnDemand, OnDemandCds
from xds_server.resources.matchers import skipped
from xds_server.resources.predicates import header_matches
from xds_server.resources.sources import FROM_ADS

CLUSTER_WITHIN = timedelta(seconds=1.5)
LONGEST = 253 + len(":65535")
"""Characters of a host with its port."""
NAME = "envoy.filters.http.on_demand"
_ASKS = TypedExtensionConfig(
    name=NAME, typed_config=pack(OnDemand(odcds=OnDemandCds(source=FROM_ADS, timeout=CLUSTER_WITHIN)))
)
_TOO_LONG = header_matches(":authority", rf"\C{{{LONGEST + 1},}}")
ON_DEMAND = skipped(NAME, _ASKS, _TOO_LONG)
"""The first of all: one in front of it would see no route on a first request."""
