"""What a source of records says: values that cross from the shell into the core."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xds_server.records.plain import Plain, usual

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


class FileChange(NamedTuple):
    """A file by its path in the folder, what it says, and what it shall say. `before` None: there is no such file.

    `after` empty: there shall be none.
    """

    name: str
    before: str | None
    after: str


PlainOf = Callable[[str], tuple[Plain, ...] | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that changed, by path relative to the source; None: the file is gone.

    `complete`: these are all the files there are, and any other that was there is gone. `plain` gives the documents of
    a text, as `usual` does: somebody may have read it already.
    """

    files: Mapping[str, Readable | Unreadable | None]
    complete: bool = False
    plain: PlainOf = field(default=usual, compare=False)
