"""Message types of client status discovery. Envoy's own binary does not know them: it is asked by other tools."""
# mypy: implicit-reexport
# ruff: noqa: F401

from envoy_data_plane.envoy.service.status.v3 import (
    ClientConfig,
    ClientConfigGenericXdsConfig,
    ClientStatusRequest,
    ClientStatusResponse,
    ConfigStatus,
)

from xds_server.messages.bridge import bridge

bridge(globals())
