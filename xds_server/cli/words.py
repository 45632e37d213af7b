"""How things are said in reports."""

from datetime import UTC, datetime

from xds_server.domain.words import count

__all__ = ["ago", "count"]


def ago(since: datetime) -> str:
    """`3m`, in the largest unit of which there is one."""
    seconds = int((datetime.now(UTC) - since).total_seconds())  # noqa: TID251 - for a person, who reads it now
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"
