"""What `xds-server` and `xdsctl` have in common as programs."""

from typing import Annotated

import typer

from xds_server import __version__
from xds_server.cli.values import PlainWords


def program(name: str, says: str) -> typer.Typer:
    """A program that says its version and, without a command, what there is."""
    app = typer.Typer(
        cls=PlainWords,
        help=says,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def say(asked: bool) -> None:
        if asked:
            typer.echo(f"{name} {__version__}")
            raise typer.Exit

    @app.callback()
    def version(
        asked: Annotated[
            bool, typer.Option("--version", callback=say, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        del asked

    return app
