"""`xds-server serve`: what it is told by flags, the environment and a file."""

import os
import sys
import tomllib
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xds_server.cli.values import parse_address
from xds_server.domain.addresses import Address

XDS = Address("127.0.0.1", 18000)
ADMIN = Address("127.0.0.1", 18001)


class LogFormat(StrEnum):
    """How log lines are written; `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


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
    context.default_map = {name.replace("-", "_"): _written(path, name, value) for name, value in said.items()}
    return path


def _written(file: Path, name: str, value: object) -> object:
    """As a flag would be written: what is read from flags checks it. Several are a list of texts."""
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case list() if all(isinstance(each, str) for each in value):
            return value
        case _:
            raise typer.BadParameter(f"{file}: {name} is no value of an option: write a text, a number, true or false")


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
