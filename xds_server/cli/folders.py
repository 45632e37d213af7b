"""A folder of records as a command reads it: once, and not at all if it cannot be read."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import typer

from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Unreadable
from xds_server.runtime.clock import clock
from xds_server.sources.files import FileSource


def read_folder(folder: Path) -> Batch:
    said = asyncio.run(_read(folder))
    if isinstance(said, Unreadable):
        typer.echo(f"xdsctl: {said.why}; name a folder of records that can be read", err=True)
        raise typer.Exit(1)
    return said


def admitted(folder: Path) -> Admission:
    """The records of a folder as a server with no state would take them."""
    return admit(Admission(), read_folder(folder), clock(), folder=str(folder))


async def _read(folder: Path) -> Batch | Unreadable:
    async with aclosing(FileSource(folder).follow()) as said:
        return await anext(said)
