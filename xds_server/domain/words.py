"""How several names are said in a line."""

from collections.abc import Iterable

SHOWN = 6
"""Names in one line; the rest are counted."""


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def few(names: Iterable[str], shown: int = SHOWN) -> str:
    """The first of them, and how many more there are."""
    said = list(names)
    more = len(said) - shown
    return ", ".join(said[:shown]) + (f" and {more} more" if more > 0 else "")
