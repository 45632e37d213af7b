"""What an Envoy is started with so that it tells the server what becomes of requests: all totals, at every flush."""

from xds_server.domain.statistics import EDGES, LATENCY, READ
from xds_server.domain.versions import Minor
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    GrpcService,
    GrpcServiceEnvoyGrpc,
    HistogramBucketSettings,
    StatsConfig,
    StatsSink,
    StringMatcher,
)
from xds_server.messages.envoy import TypedExtensionConfig as EnvoyExtension
from xds_server.messages.extensions import (
    SinkConfig,
    SinkConfigDropAction,
    StatFullNameMatchInput,
    StaticConfigResourceDetectorConfig,
)
from xds_server.messages.xds import (
    Matcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicateSinglePredicate,
    RegexMatcher,
    TypedExtensionConfig,
)
from xds_server.messages.xds import (
    StringMatcher as XdsStringMatcher,
)
from xds_server.resources.matchers import matcher
from xds_server.resources.predicates import RE2, negated

NODE_ID = "service.instance.id"
"""The attribute that names the proxy, where its bootstrap does."""
CHOOSES: Minor = (1, 37)
"""From this Envoy on a sink can be told what not to send."""


def stats_config() -> StatsConfig:
    buckets = HistogramBucketSettings(match=StringMatcher(suffix=LATENCY), buckets=list(EDGES))
    return StatsConfig(histogram_bucket_settings=[buckets])


def stats_sink(cluster: str, node_id: str, envoy: Minor) -> StatsSink:
    """Totals, not what they grew by: who hears of them later has lost nothing. `envoy`: what it must understand."""
    attributes = StaticConfigResourceDetectorConfig(attributes={NODE_ID: node_id})
    sink = SinkConfig(
        grpc_service=GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=cluster)),
        resource_detectors=[EnvoyExtension(name="node", typed_config=pack(attributes))] if node_id else [],
        emit_tags_as_attributes=False,
        use_tag_extracted_name=False,
        custom_metric_conversions=_only_what_is_read() if envoy >= CHOOSES else None,
    )
    return StatsSink(name="envoy.stat_sinks.open_telemetry", typed_config=pack(sink))


def _only_what_is_read() -> Matcher:
    """The rest stays where operators look for it, in Envoy's own `/stats`."""
    name = TypedExtensionConfig(name="name", typed_config=pack(StatFullNameMatchInput()))
    regex = XdsStringMatcher(safe_regex=RegexMatcher(google_re2=RE2, regex=READ))
    single = MatcherMatcherListPredicateSinglePredicate(input=name, value_match=regex)
    drop = TypedExtensionConfig(name="drop", typed_config=pack(SinkConfigDropAction()))
    return matcher(negated(MatcherMatcherListPredicate(single_predicate=single)), drop)
