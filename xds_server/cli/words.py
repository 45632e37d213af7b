"""How things are said in reports."""

from xds_server.domain.words import count

__all__ = ["count"]
