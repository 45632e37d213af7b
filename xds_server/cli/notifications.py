"""`xdsctl notifications`: who is told what happens to releases, and whether they listen."""

from typing import Annotated

import typer

from xds_server.cli.options import ADMIN, AdminOption, Report, ReportOption, answered, echo
from xds_server.cli.values import PlainWords

app = typer.Typer(
    cls=PlainWords,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def notifications(context: typer.Context, server: AdminOption = ADMIN, output: ReportOption = Report.TEXT) -> None:
    """Show who is told what happens to releases, how far behind they are, and how it went last.

    Exit code 0: it is printed; 1: the server does not answer; 2: wrong use.

    Example: xdsctl notifications -o json
    """
    if context.invoked_subcommand is not None:
        # The environment is for both.
        sources = map(context.get_parameter_source, ("server", "output"))
        if any(each is not None and each.name == "COMMANDLINE" for each in sources):
            raise typer.BadParameter(f"write options after {context.invoked_subcommand}")
        return
    from xds_server.cli import webhooks

    found = answered(lambda: webhooks.told(server))
    if output is not Report.TEXT:
        echo(webhooks.data(found), output.value)
        return
    for line in webhooks.lines(found):
        typer.echo(line)


@app.command("test")
def ping(
    webhook: Annotated[str, typer.Argument(metavar="NAME|URL", help="Which of the server's webhooks.")],
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Have the server send a webhook a ping, once, signed as everything that it is sent.

    Exit code 0: it took it; 1: it did not, there is no such webhook, or the server does not answer; 2: wrong use.

    Example: xdsctl notifications test ops
    """
    from xds_server.cli import webhooks

    found = answered(lambda: webhooks.pinged(server, webhook))
    if output is Report.TEXT:
        typer.echo(webhooks.ping_words(found))
    else:
        echo(webhooks.data(found), output.value)
    raise typer.Exit(0 if found.delivered else 1)
