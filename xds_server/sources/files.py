"""Records in a folder of YAML and JSON files, as they change."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from xds_server.domain.errors import SourceUnavailable
from xds_server.records.reading import Batch, Unreadable
from xds_server.sources.ahead import Ahead
from xds_server.sources.settling import Patience
from xds_server.sources.tree import Tree

PATIENCE = Patience()


class FileSource:
    """A folder of records (`*.yaml`, `*.yml`, `*.json`) and PEM files (`*.pem`, `*.crt`, `*.key`).

    Subfolders too, hidden ones and editors' files not.

    A file acts as soon as it is renamed into place or closed after writing. One that disappears acts after a
    moment, because that is how files are replaced. `ahead` is what has been read of the folder before.
    """

    def __init__(self, folder: Path, patience: Patience = PATIENCE, ahead: Ahead | None = None) -> None:
        self._folder = folder
        self._patience = patience
        self._ahead = ahead

    async def follow(self) -> AsyncGenerator[Batch | Unreadable, None]:
        """Yield every file there is, then what changes; once `Unreadable` while the folder is away, then all anew.

        Close it (`contextlib.aclosing`) to end the watches.
        """
        failures = 0
        while True:
            try:
                with Tree(self._folder, self._patience) as tree:
                    yield self._as_read_ahead(await tree.everything())
                    failures = 0
                    self._forget_ahead()
                    while True:
                        yield await tree.change()
            except SourceUnavailable as unavailable:
                why = str(unavailable)
            except OSError as error:
                why = f"{self._folder} cannot be read: {error.strerror}"
            # A folder that was swapped for another is there at once; one that comes back soon was no outage.
            failures += 1
            if failures == 3:
                yield Unreadable(why)
            if failures > 1:
                # inotify cannot say when a path that leads nowhere leads somewhere: it may be a mount, or the target
                # of a link. Looking costs some microseconds.
                await asyncio.sleep(self._patience.absence)

    def _as_read_ahead(self, batch: Batch) -> Batch:
        return batch if self._ahead is None else replace(batch, plain=self._ahead.plain)

    def _forget_ahead(self) -> None:
        """It is for the first reading."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
