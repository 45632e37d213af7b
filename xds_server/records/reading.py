"""What a source of records says: values that cross from the shell into the core."""

from collections.abc import Mapping
from dataclasses import dataclass

RECORDS = (".yaml", ".yml", ".json")
"""How the names of files that hold records end."""
PEM = (".pem", ".crt", ".key")
"""How the names of certificates and keys end."""


def is_pem(name: str) -> bool:
    return name.endswith(PEM)


@dataclass(frozen=True, slots=True)
class Readable:
    """A file's whole text."""

    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or a folder that is there and cannot be read. Nothing that came from it is lost."""

    why: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that changed, by path relative to the source; None: the file is gone.

    `complete`: these are all the files there are, and any other that was there is gone.
    """

    files: Mapping[str, Readable | Unreadable | None]
    complete: bool = False
