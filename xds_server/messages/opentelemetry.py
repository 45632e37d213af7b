"""Message types of `opentelemetry.*`. A type is added by adding its import."""
# mypy: implicit-reexport
# ruff: noqa: F401

from envoy_data_plane.opentelemetry.proto.common.v1 import AnyValue, KeyValue, KeyValueList

from xds_server.messages.bridge import bridge

bridge(globals())
