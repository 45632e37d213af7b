"""What time it is."""

from datetime import UTC, datetime


def clock() -> datetime:
    """The one place where the server reads what time it is."""
    return datetime.now(UTC)  # noqa: TID251 - the shell's clock
