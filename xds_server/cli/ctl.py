"""`xdsctl`: all its commands, which are told apart by what they are about."""

from xds_server.cli import checking, explaining, fleet, kinds, looking, notifications, releases, rollouts, writing
from xds_server.cli.options import Panel
from xds_server.cli.program import program

app = program(
    "xdsctl",
    "Look at a folder of records before anyone is told of it; ask a running server, and change what it gives.\n\n"
    "Which server: --server, else XDSCTL_SERVER, else http://127.0.0.1:18001.\n\n"
    "A version is bad? xdsctl rollback RELEASE --why ... gives everybody what they had before.",
)
app.add_typer(checking.app)
app.add_typer(explaining.app)
app.add_typer(fleet.app)
app.add_typer(kinds.app)
app.add_typer(releases.app)
app.add_typer(rollouts.app)
app.add_typer(notifications.app, name="notifications", rich_help_panel=Panel.LOOK)
app.add_typer(writing.app)
app.add_typer(looking.app)


def main() -> None:
    app()
