"""Where a proxy gets the rest from: the stream it is on."""

from xds_server.messages.envoy import AggregatedConfigSource, ApiVersion, ConfigSource

FROM_ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
