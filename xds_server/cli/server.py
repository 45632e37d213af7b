"""`xds-server`: serve, bootstrap, run, demo."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from xds_server.cli import bootstrap
from xds_server.cli.bootstrap import Mode
from xds_server.cli.program import program
from xds_server.cli.serve import serve
from xds_server.cli.values import parse_seconds

app = program("xds-server", "An Envoy control plane for shaping traffic by version.")
app.add_typer(bootstrap.app, name="bootstrap")
app.command()(serve)

EnvoyOption = Annotated[
    str,
    typer.Option(
        "--envoy",
        envvar="XDS_SERVER_ENVOY",
        help="The Envoy to start. Absent: beside this program, or on PATH.",
    ),
]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What xds-server bootstrap printed, with --admin-port.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="After --: what Envoy is started with besides.")
    ] = None,
    envoy: EnvoyOption = "",
    drain: Annotated[
        float,
        typer.Option(
            parser=parse_seconds,
            metavar="DURATION",
            envvar="XDS_SERVER_DRAIN",
            show_default="30s",
            help="How long what is under way may take to finish. From half of it on new connections are refused.",
        ),
    ] = 30.0,
    quiet: Annotated[
        float,
        typer.Option(
            parser=parse_seconds,
            metavar="DURATION",
            envvar="XDS_SERVER_QUIET",
            show_default="5s",
            help="It ends earlier if nothing is under way and nobody has come for so long.",
        ),
    ] = 5.0,
) -> None:
    """Run an Envoy that finishes what it has before it ends: a gateway, or a sidecar.

    SIGTERM and Ctrl-C drain it, a second one ends it at once; SIGHUP and SIGUSR1 are passed on.

    Exit code 0: it ended in order; 1: it cannot be run, and why is printed; 2: wrong use;
    others are Envoy's own, or 128 and the number of the signal that ended it.

    Example: xds-server run web-1.json --drain 60s -- --concurrency 2
    """
    import asyncio

    from xds_server.cli.draining import Patience
    from xds_server.cli.running import command, run_envoy
    from xds_server.domain.errors import XdsServerError
    from xds_server.runtime import logs

    logs.configure("auto")
    try:
        code = asyncio.run(run_envoy(command(envoy, file, arguments or []), Patience(drain, quiet)))
    except XdsServerError as failure:
        typer.echo(f"xds-server run: {failure}", err=True)
        code = 1
    sys.exit(code)


@app.command()
def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the gateway listens, on loopback; 0: any.")
    ] = 10000,
    envoy: EnvoyOption = "",
    mode: Annotated[Mode, typer.Option(help="Which dialect of xDS the Envoy speaks.")] = Mode.DELTA,
    mesh: Annotated[
        bool,
        typer.Option("--mesh", help="An order app in three versions with sidecars, and each request's way drawn."),
    ] = False,
    canary: Annotated[
        bool,
        typer.Option("--canary", help="Users on a shop: v2 is promoted by itself, v3 fails and is rolled back."),
    ] = False,
) -> None:
    """Run two versions of a small shop behind a real Envoy, with lines to try. Ctrl-C ends all of it.

    With --canary it is a story of a minute or two, and ends by itself.

    Exit code 0: it was told to end; 1: it cannot run here, and why is printed; 2: wrong use.
    """
    from xds_server.cli.demo import run_demo
    from xds_server.cli.demo_canary import run_canary_demo
    from xds_server.cli.demo_mesh import run_mesh_demo

    if mesh and canary:
        raise typer.BadParameter("write --mesh or --canary, not both")
    run = run_canary_demo if canary else run_mesh_demo if mesh else run_demo
    sys.exit(run(port, envoy, mode.value))


def main() -> None:
    app()
