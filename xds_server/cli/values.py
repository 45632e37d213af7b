"""Values that commands take, and what is said when they are written wrong."""

from collections.abc import Callable

import typer

from xds_server import __version__
from xds_server.domain.addresses import Address, read_address


def parse_address(text: str | Address) -> Address:
    if isinstance(text, Address):
        return text
    address = read_address(text)
    if address is None:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:18000")
    return address


def version_of(program: str) -> Callable[[bool], None]:
    """What `--version` calls."""

    def say(asked: bool) -> None:
        if asked:
            typer.echo(f"{program} {__version__}")
            raise typer.Exit

    return say
