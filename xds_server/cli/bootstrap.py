"""`xds-server bootstrap`: what an Envoy is started with, a gateway's or a sidecar's."""

import json
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from xds_server.cli.values import parse_address, parse_label, parse_minor, parse_seconds, parse_word
from xds_server.domain.addresses import Address
from xds_server.domain.versions import OLDEST, written

if TYPE_CHECKING:
    from xds_server.resources.bootstrap import ProxyNode, XdsTls

app = typer.Typer(
    help="Print what an Envoy is started with, as JSON.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FLOOR = written(OLDEST)
LONGEST_INTERVAL = 300.0
"""Seconds: Envoy's own bound."""


class Mode(StrEnum):
    """Which dialect of xDS an Envoy speaks."""

    DELTA = "delta"
    SOTW = "sotw"


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


def _stats_interval(text: "str | float") -> float:
    found = parse_seconds(text)
    if not 0.001 <= found < LONGEST_INTERVAL:
        raise typer.BadParameter(f"{text!r}: Envoy sends every 1ms at most, and more often than every 5m")
    return found


StatsInterval = Annotated[
    float,
    typer.Option(
        "--stats-interval",
        parser=_stats_interval,
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


@app.command()
def gateway(
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


@app.command()
def sidecar(
    app_name: Annotated[
        str, typer.Option("--app", parser=parse_word, metavar="NAME", help="The app: NAME, or NAMESPACE.NAME.")
    ],
    component: Annotated[
        str,
        typer.Option(parser=parse_label, metavar="NAME", help="The component whose instance the Envoy is beside."),
    ],
    build: Annotated[str, typer.Option(metavar="HASH", help="The content hash of that instance.")],
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

    from xds_server.resources.bootstrap import bootstrap

    told = replace(node, stats_interval=timedelta(seconds=stats_interval), envoy=parse_minor(envoy))
    typer.echo(json.dumps(bootstrap(told), indent=2))
