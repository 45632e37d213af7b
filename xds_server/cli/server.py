"""`xds-server`: serve, bootstrap, run, demo."""

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xds_server.cli.values import PlainWords, parse_address, parse_minor, parse_seconds, parse_word, version_of
from xds_server.domain.addresses import Address
from xds_server.domain.versions import OLDEST, written

if TYPE_CHECKING:
    from xds_server.resources.bootstrap import ProxyNode, XdsTls

app = typer.Typer(
    cls=PlainWords,
    help="An Envoy control plane for shaping traffic by version.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bootstrap = typer.Typer(
    help="Print what an Envoy is started with, as JSON.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bootstrap, name="bootstrap")


XDS = Address("127.0.0.1", 18000)
ADMIN = Address("127.0.0.1", 18001)
FLOOR = written(OLDEST)


class Mode(StrEnum):
    """Which dialect of xDS an Envoy speaks."""

    DELTA = "delta"
    SOTW = "sotw"


class LogFormat(StrEnum):
    """How log lines are written; `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=version_of("xds-server"), is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version


def _from_file(context: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file: `records = "/etc/xds/records"`. Flags and the environment come first."""
    if path is None:
        return None
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(f"cannot be read: {error}") from None
    known = {parameter.name for parameter in context.command.params} - {"config"}
    unknown = sorted({name.replace("-", "_") for name in said} - known)
    if unknown:
        names = ", ".join(sorted(str(name) for name in known))
        raise typer.BadParameter(f"{path} says {unknown[0]!r}, which is none of {names}")
    context.default_map = {name.replace("-", "_"): value for name, value in said.items()}
    return path


@app.command()
def serve(
    records: Annotated[
        Path,
        typer.Option(
            envvar="XDS_SERVER_RECORDS", show_envvar=False, help="Folder of YAML records, watched for changes."
        ),
    ],
    state: Annotated[
        Path,
        typer.Option(
            envvar="XDS_SERVER_STATE", show_envvar=False, help="Folder of this server's own memory: last good records."
        ),
    ],
    xds: Annotated[
        Address,
        typer.Option(
            parser=parse_address,
            metavar="HOST:PORT",
            envvar="XDS_SERVER_XDS",
            show_envvar=False,
            show_default=str(XDS),
            help="Where proxies connect.",
        ),
    ] = XDS,
    admin: Annotated[
        Address,
        typer.Option(
            parser=parse_address,
            metavar="HOST:PORT",
            envvar="XDS_SERVER_ADMIN",
            show_envvar=False,
            show_default=str(ADMIN),
            help="Where /readyz, /healthz, /metrics, /problems, /explain, /releases, /proxies and"
            " /notifications are; /openapi.json describes them.",
        ),
    ] = ADMIN,
    allow_empty: Annotated[
        bool,
        typer.Option(
            "--allow-empty",
            envvar="XDS_SERVER_ALLOW_EMPTY",
            show_envvar=False,
            help="Believe a folder that is empty or has lost every release while records are in force; otherwise that"
            " is a read error.",
        ),
    ] = False,
    xds_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="XDS_SERVER_XDS_CERT",
            show_envvar=False,
            help="PEM chain that the xDS port shows; re-read when it changes.",
        ),
    ] = None,
    xds_key: Annotated[
        Path | None, typer.Option(envvar="XDS_SERVER_XDS_KEY", show_envvar=False, help="PEM key of --xds-cert.")
    ] = None,
    xds_client_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="XDS_SERVER_XDS_CLIENT_CA",
            show_envvar=False,
            help="PEM authorities: only proxies with a certificate of theirs may connect. Needs --xds-cert.",
        ),
    ] = None,
    extension: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            envvar="XDS_SERVER_EXTENSION",
            show_envvar=False,
            help="Python that may change resources of records that name it; may be repeated (docs/extensions.md).",
        ),
    ] = None,
    extension_timeout: Annotated[
        float,
        typer.Option(
            min=0.01,
            envvar="XDS_SERVER_EXTENSION_TIMEOUT",
            show_envvar=False,
            help="Seconds that an extension has for one resource.",
        ),
    ] = 1.0,
    webhooks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="XDS_SERVER_WEBHOOKS",
            show_envvar=False,
            help="YAML file of webhooks, which are told what happens to releases.",
        ),
    ] = None,
    no_probe: Annotated[
        bool,
        typer.Option(
            "--no-probe",
            envvar="XDS_SERVER_NO_PROBE",
            show_envvar=False,
            help="Do not ask instances whether they are well before a release gives them requests; for a server that"
            " cannot reach them.",
        ),
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            envvar="XDS_SERVER_LOG_FORMAT", show_envvar=False, help="auto: text on a terminal, JSON elsewhere."
        ),
    ] = LogFormat.AUTO,
    config: Annotated[
        Path | None,
        typer.Option(
            callback=_from_file,
            is_eager=True,
            envvar="XDS_SERVER_CONFIG",
            show_envvar=False,
            help="TOML file with these options.",
        ),
    ] = None,
) -> None:
    """Serve Envoys from a folder of records until SIGTERM or Ctrl-C.

    Flags come first, then the environment, then the file of --config.
    In the environment --xds-cert is XDS_SERVER_XDS_CERT, and so on for every option.
    A folder of records that cannot be read is waited for: /readyz says so.

    Exit code 0: it was told to end; 1: it could not start (a port in use, no right to write); 2: wrong use.

    Example: xds-server serve --records manifests/shop --state /tmp/shop-state
    """
    del config
    # gRPC's own lines on stderr are of no use to an operator, and it reads this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from xds_server.runtime.garbage import building
    from xds_server.sources.ahead import Ahead

    if (xds_cert is None) != (xds_key is None) or (xds_client_ca is not None and xds_cert is None):
        raise typer.BadParameter("--xds-cert and --xds-key belong together, and --xds-client-ca needs both")
    with Ahead(records) as ahead:
        # Another process reads the records while this one imports the rest.
        with building():
            from xds_server.runtime.serve import Settings, run
            from xds_server.transport.credentials import TlsFiles

        tls = TlsFiles(xds_cert, xds_key, xds_client_ca) if xds_cert and xds_key else None
        extensions = tuple(extension or ())
        settings = Settings(records, state, xds, admin, allow_empty, log_format.value, tls, extensions)
        settings = replace(settings, extension_timeout=extension_timeout, ahead=ahead)
        code = run(replace(settings, probe=not no_probe, webhooks=webhooks))
    sys.exit(code)


Xds = Annotated[
    Address, typer.Option("--xds", parser=parse_address, metavar="HOST:PORT", help="Where xds-server listens.")
]
ModeOption = Annotated[Mode, typer.Option("--mode", help="Which dialect of xDS the Envoy speaks.")]
AdminPort = Annotated[
    int | None,
    typer.Option("--admin-port", min=0, max=65535, help="Envoy's admin interface, on loopback. Absent: none."),
]
XdsCa = Annotated[
    str,
    typer.Option(
        "--xds-ca",
        metavar="FILE",
        help="Speak TLS to xds-server: PEM authorities of its certificate. Files are named as on the proxy's machine.",
    ),
]
XdsName = Annotated[
    str, typer.Option("--xds-name", metavar="NAME", help="The name in its certificate, if not the host of --xds.")
]
XdsClientCert = Annotated[
    str, typer.Option("--xds-client-cert", metavar="FILE", help="PEM chain that the proxy shows to xds-server.")
]
XdsClientKey = Annotated[str, typer.Option("--xds-client-key", metavar="FILE", help="PEM key of --xds-client-cert.")]
EnvoyOption = Annotated[
    str,
    typer.Option(
        "--envoy",
        envvar="XDS_SERVER_ENVOY",
        help="The Envoy to start. Absent: beside this program, or on PATH.",
    ),
]
StatsInterval = Annotated[
    float,
    typer.Option(
        "--stats-interval",
        parser=parse_seconds,
        metavar="DURATION",
        show_default="1s",
        help="How often Envoy tells xds-server what became of requests.",
    ),
]
EnvoyVersion = Annotated[
    str,
    typer.Option(
        "--envoy-version",
        metavar="VERSION",
        help="The oldest Envoy that is started with this. From 1.37 on it tells only what is read.",
    ),
]
NodeId = Annotated[str, typer.Option("--id", help="Unique in the fleet. Absent: start Envoy with --service-node ID.")]


@bootstrap.command("gateway")
def bootstrap_gateway(
    name: Annotated[
        str, typer.Argument(parser=parse_word, metavar="NAME", help="The gateway's record: NAME, or NAMESPACE.NAME.")
    ],
    xds: Xds,
    mode: ModeOption = Mode.DELTA,
    admin_port: AdminPort = None,
    node_id: NodeId = "",
    xds_ca: XdsCa = "",
    xds_name: XdsName = "",
    xds_client_cert: XdsClientCert = "",
    xds_client_key: XdsClientKey = "",
    stats_interval: StatsInterval = 1.0,
    envoy_version: EnvoyVersion = FLOOR,
    max_connections: Annotated[
        int, typer.Option(min=1, help="Connections of clients; one more is closed at once.")
    ] = 50_000,
    max_heap_mb: Annotated[
        int, typer.Option(min=64, help="Heap in MiB; near it Envoy stops accepting. About 80 % of its memory limit.")
    ] = 2048,
) -> None:
    """Print the bootstrap of an Envoy that serves a gateway; write it to a file that ends in .json.

    Exit code 0: it is printed; 2: wrong use.

    Example: xds-server bootstrap gateway edge --xds 127.0.0.1:18000 --id edge-1 > edge.json
    """
    from xds_server.resources.bootstrap import ProxyNode
    from xds_server.resources.overload import Limits

    tls = _tls(xds, xds_ca, xds_name, xds_client_cert, xds_client_key)
    node = replace(ProxyNode.of_gateway(name, xds), mode=mode.value, id=node_id, admin_port=admin_port, tls=tls)
    _print(replace(node, limits=Limits(max_connections, max_heap_mb)), stats_interval, envoy_version)


@bootstrap.command("sidecar")
def bootstrap_sidecar(
    app_name: Annotated[str, typer.Option("--app", help="The app: NAME, or NAMESPACE.NAME.")],
    component: Annotated[str, typer.Option(help="The component whose instance the Envoy is beside.")],
    build: Annotated[str, typer.Option(help="The content hash of that instance.")],
    xds: Xds,
    outbound: Annotated[
        int, typer.Option(min=1, max=65535, help="Where its application sends its calls, on 127.0.0.1.")
    ] = 15001,
    inbound: Annotated[
        int, typer.Option(min=1, max=65535, help="Where callers reach it: the address that Build records give.")
    ] = 15006,
    application: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Where its application listens, on 127.0.0.1. Absent: nobody calls it."),
    ] = None,
    mode: ModeOption = Mode.DELTA,
    admin_port: AdminPort = None,
    node_id: NodeId = "",
    xds_ca: XdsCa = "",
    xds_name: XdsName = "",
    xds_client_cert: XdsClientCert = "",
    xds_client_key: XdsClientKey = "",
    stats_interval: StatsInterval = 1.0,
    envoy_version: EnvoyVersion = FLOOR,
) -> None:
    """Print the bootstrap of an Envoy beside one build; write it to a file that ends in .json.

    Exit code 0: it is printed; 2: wrong use.

    Example: xds-server bootstrap sidecar --app shop --component web --build 9f1c2d7e --xds 127.0.0.1:18000
    --application 8080 --id web-1 > web-1.json
    """
    from xds_server.domain.sidecars import Ports
    from xds_server.resources.bootstrap import ProxyNode

    tls = _tls(xds, xds_ca, xds_name, xds_client_cert, xds_client_key)
    ports = Ports(outbound, inbound, application)
    called = {"--inbound": inbound, "--application": application} if application is not None else {}
    _apart({"--outbound": outbound, **called, "--admin-port": admin_port})
    node = ProxyNode.of_sidecar(f"{app_name}/{component}", build, xds, ports)
    node = replace(node, mode=mode.value, id=node_id, admin_port=admin_port, tls=tls)
    _print(node, stats_interval, envoy_version)


def _apart(ports: Mapping[str, int | None]) -> None:
    """Each is taken once on a machine. 0 is any that is free."""
    options: dict[int, str] = {}
    for option, port in ports.items():
        if port and options.setdefault(port, option) != option:
            raise typer.BadParameter(f"{options[port]} and {option} are both {port}: give each a port of its own")


def _tls(xds: Address, ca: str, name: str, certificate: str, private_key: str) -> "XdsTls | None":
    from xds_server.resources.bootstrap import XdsTls

    if bool(certificate) != bool(private_key):
        raise typer.BadParameter("--xds-client-cert and --xds-client-key belong together")
    if not ca and (certificate or name):
        raise typer.BadParameter("--xds-name and --xds-client-cert need --xds-ca: without it there is no TLS")
    return XdsTls(ca, name or xds.host, certificate, private_key) if ca else None


def _print(node: "ProxyNode", stats_interval: float, envoy: str) -> None:
    from datetime import timedelta

    from xds_server.resources.bootstrap import bootstrap as bootstrap_of

    told = replace(node, stats_interval=timedelta(seconds=stats_interval), envoy=parse_minor(envoy))
    typer.echo(json.dumps(bootstrap_of(told), indent=2))


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
