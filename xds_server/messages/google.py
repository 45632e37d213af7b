"""Message types of `google.*`. A type is added by adding its import."""
# mypy: implicit-reexport
# ruff: noqa: F401

from envoy_data_plane.google.protobuf import Any, Empty, ListValue, Struct, Value
from envoy_data_plane.google.rpc import Status

from xds_server.messages.bridge import bridge

bridge(globals())
