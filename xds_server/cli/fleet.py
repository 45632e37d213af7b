"""`xdsctl`'s commands about what runs: which proxies are connected, and what becomes of requests."""

from typing import Annotated

import typer

from xds_server.cli.options import ADMIN, AdminOption, Panel, Report, ReportOption, answered, drawn, echo, told
from xds_server.cli.releases import Release
from xds_server.cli.values import parse_last

app = typer.Typer()


@app.command(rich_help_panel=Panel.LOOK)
def proxies(
    name: Annotated[
        list[str] | None, typer.Argument(help="Only proxies with these node ids, type by type.", show_default=False)
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and print what changes.")] = False,
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """List the proxies that are connected: how they are told, what they hold, who is behind and what was refused.

    Exit code 0: it is printed; 1: the server does not answer; 2: wrong use; 3: one that was named is not connected.

    Example: xdsctl proxies -w
    """
    from xds_server.cli import proxies as asking

    names = name or []
    with told():
        before = None
        for found in asking.fleets(server, names) if watch else [asking.fleet(server, names)]:
            if output is not Report.TEXT:
                echo(asking.data(found), output.value)
            elif before is None:
                asking.print_fleet(found, whole=bool(names))
            else:
                asking.print_changes(before, found, whole=bool(names))
            before = found
    absent = [each for each in names if all(proxy.id != each for proxy in found.proxies)]
    if absent:
        typer.echo(f"xdsctl: not connected: {', '.join(absent)}. xdsctl proxies lists who is", err=True)
        raise typer.Exit(3)


@app.command(rich_help_panel=Panel.LOOK)
def top(
    of: Annotated[str, typer.Argument(metavar="[APP]", help="Of one app: NAME, or NAMESPACE.NAME.")] = "",
    last: Annotated[
        float,
        typer.Option(parser=parse_last, metavar="DURATION", help="How long back it looks.", show_default="10s"),
    ] = 10.0,
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Show what becomes of requests now, by deployment, component and rule, until Ctrl-C.

    On a terminal it is drawn anew every second; elsewhere, and with -o, it is printed once.

    Exit code 0: it is printed; 1: the server does not answer, or knows no such app; 2: wrong use.

    Example: xdsctl top shop
    """
    from xds_server.cli import traffic

    with drawn():
        if output is Report.TEXT:
            traffic.show_traffic(server, of, last)
        else:
            echo(traffic.data(traffic.traffic(server, of, last)), output.value)


@app.command(rich_help_panel=Panel.LOOK)
def compare(
    release: Release,
    deployments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIRST SECOND]",
            help="Which two. Absent: what has most of the default, and what rises.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        float,
        typer.Option(parser=parse_last, metavar="DURATION", help="How long back it looks.", show_default="1h"),
    ] = 3600.0,
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Compare two deployments of an app, in the same flushes of the same proxies, by component and rule.

    `x` is how many times the first one's rate the second one's is, with bounds that hold however often one looks.

    Exit code 0: it is printed; 1: the server does not answer, or does not know them; 2: wrong use.

    Example: xdsctl compare shop shop-v1 shop-v2 --last 10m
    """
    from xds_server.cli import traffic

    if deployments and len(deployments) != 2:
        raise typer.BadParameter("write both deployments, or none")
    sides = (deployments[0], deployments[1]) if deployments else None
    found = answered(lambda: traffic.compare(server, release, sides, last))
    if output is Report.TEXT:
        traffic.print_compared(found)
    else:
        echo(traffic.data(found), output.value)
