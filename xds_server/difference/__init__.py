"""What would be different: one engine for `xdsctl diff` and for whoever plans a change of a running server."""

from xds_server.difference.comparison import Difference, Served, difference, served

__all__ = ["Difference", "Served", "difference", "served"]
