"""`xdsctl`: all its commands, which are told apart by what they are about."""

from typing import Annotated

import typer

from xds_server.cli import checking, explaining, fleet, kinds, looking, notifications, releases, rollouts, writing
from xds_server.cli.values import PlainWords, version_of

app = typer.Typer(
    cls=PlainWords,
    help="Look at a folder of records before anyone is told of it, or ask a running server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(checking.app)
app.add_typer(explaining.app)
app.add_typer(fleet.app)
app.add_typer(kinds.app)
app.add_typer(releases.app)
app.add_typer(rollouts.app)
app.add_typer(notifications.app, name="notifications")
app.add_typer(writing.app)
app.add_typer(looking.app)


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=version_of("xdsctl"), is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version


def main() -> None:
    app()
