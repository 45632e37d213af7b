"""Envoy's messages: typed by envoy-data-plane, built and encoded by upb.

    from xds_server.messages.codec import encode, pack
    from xds_server.messages.envoy import Cluster, ClusterDiscoveryType, ClusterEdsClusterConfig
    from xds_server.messages.extensions import Router

    encode(Cluster(name="shop-v2/web", type=ClusterDiscoveryType.EDS, connect_timeout=timedelta(seconds=1)))

The types are in `envoy` (config, type, service), `extensions` (envoy.extensions), `xds` and `google`; `codec` has
`encode`, `pack`, `type_url`, `decode`, `to_json` and `from_json`; `bridge.upb_class` gives upb's own class of a type.

A constructor takes what the dataclass takes, by keyword: `timedelta` for a Duration, a plain value for a wrapper, enum
members, dicts for maps, other messages, and None for what is absent. An argument that does not exist is a `ValueError`,
one of the wrong type a `TypeError`, two members of one oneof a `ValueError`.

A message is built in one call, encoded, and not read: its attributes are upb's, not the dataclass's. A message copies
those it is given, so one message may be part of many.
"""
