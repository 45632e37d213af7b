"""`xdsctl`: all its commands, which are told apart by what they are about."""

from xds_server.cli import checking, explaining, fleet, kinds, looking, notifications, releases, rollouts, writing
from xds_server.cli.program import program

app = program("xdsctl", "Look at a folder of records before anyone is told of it, or ask a running server.")
app.add_typer(checking.app)
app.add_typer(explaining.app)
app.add_typer(fleet.app)
app.add_typer(kinds.app)
app.add_typer(releases.app)
app.add_typer(rollouts.app)
app.add_typer(notifications.app, name="notifications")
app.add_typer(writing.app)
app.add_typer(looking.app)


def main() -> None:
    app()
