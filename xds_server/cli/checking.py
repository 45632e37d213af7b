"""`xdsctl`'s commands about a folder of records before anyone is told of it: what is wrong, and what it would do."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xds_server.cli.options import (
    NOT_BOTH,
    Format,
    FormatOption,
    Panel,
    Report,
    ReportOption,
    ServerOption,
    answered,
    echo,
)
from xds_server.cli.values import ErrorIsOne

if TYPE_CHECKING:
    from xds_server.domain.problems import Problem
    from xds_server.pipeline import Compilation
    from xds_server.records.admitted import Admission

app = typer.Typer()

Records = Annotated[Path, typer.Argument(help="A folder of YAML records.", exists=True, file_okay=False)]
ExtensionOption = Annotated[
    list[str] | None,
    typer.Option(metavar="MODULE:FUNCTION", help="Call this extension, as a server does; may be repeated."),
]
ExtensionTimeout = Annotated[float, typer.Option(min=0.01, help="Seconds that an extension has for one resource.")]


@app.command(rich_help_panel=Panel.FOLDER)
def check(
    records: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of YAML records (not with --server).", exists=True, file_okay=False, show_default=False
        ),
    ] = None,
    server: ServerOption = "",
    extension: ExtensionOption = None,
    extension_timeout: ExtensionTimeout = 1.0,
    output: ReportOption = Report.TEXT,
) -> None:
    """List what is wrong with the records, as a server that starts with them would, or as a running one does.

    A running server also knows what connected proxies refuse.

    Exit code 0: nothing is wrong (warnings may be listed); 1: an error is listed, or no server answers; 2: wrong use.

    Example: xdsctl check manifests/shop -o json
    """
    from xds_server.cli import reports
    from xds_server.domain.problems import Severity

    if records is not None and server:
        raise typer.BadParameter(NOT_BOTH)
    if records is None and not server:
        raise typer.BadParameter("write a folder of records, or --server URL")
    held = world = None
    problems: Sequence[Problem]
    if records is None:
        problems = _problems_at(server)
    else:
        admission = _admitted(records)
        held, world = len(admission.in_force), admission.world
        problems = _extended(admission, extension, extension_timeout)[1] if extension else admission.problems
    if output is Report.TEXT:
        reports.print_problems(problems, held, world)
    else:
        echo(reports.problems_data(problems), output.value)
    raise typer.Exit(1 if any(each.severity is Severity.ERROR for each in problems) else 0)


def _problems_at(server: str) -> "list[Problem]":
    from xds_server.cli.servers import problems_at

    return answered(lambda: problems_at(server))


@app.command(rich_help_panel=Panel.FOLDER)
def render(
    records: Records,
    gateway: Annotated[str, typer.Option("--gateway", "-g", help="Only this gateway: NAME, or NAMESPACE.NAME.")] = "",
    extension: ExtensionOption = None,
    extension_timeout: ExtensionTimeout = 1.0,
    output: FormatOption = Format.YAML,
) -> None:
    """Print what Envoy would be told, by gateway and resource type.

    Records that are held back, and what extensions could not change, are left out and listed on stderr.

    Exit code 0: it is printed; 1: there is no such gateway, or an extension cannot be loaded; 2: wrong use.

    Example: xdsctl render manifests/shop --gateway edge
    """
    from xds_server.cli import reports
    from xds_server.domain.names import ref
    from xds_server.pipeline import compile_world

    admission = _admitted(records)
    if extension:
        compilation, problems = _extended(admission, extension, extension_timeout)
    else:
        compilation, problems = compile_world(admission.world), admission.problems
    reports.print_errors(problems)
    chosen = [ref(gateway)] if gateway else sorted(compilation.gateways)
    unknown = [each.word for each in chosen if each not in compilation.gateways]
    if unknown:
        known = ", ".join(each.word for each in sorted(compilation.gateways)) or "none"
        typer.echo(f"xdsctl: there is no gateway {unknown[0]!r} in {records}; there is: {known}", err=True)
        raise typer.Exit(1)
    echo({each.word: reports.rendered(compilation.gateways[each].snapshot) for each in chosen}, output.value)


@app.command(cls=ErrorIsOne, rich_help_panel=Panel.FOLDER)
def diff(
    old: Annotated[Path, typer.Argument(help="The records that are in force.", exists=True, file_okay=False)],
    new: Annotated[Path, typer.Argument(help="The records that would be.", exists=True, file_okay=False)],
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Believe that all releases are gone, as a server with this flag.")
    ] = False,
    output: ReportOption = Report.TEXT,
) -> None:
    """Show what NEW would do to a server that runs OLD: traffic that moves, listeners, builds, records, refusals.

    Exit code 0: nothing changes; 2: something does; 1: a record of NEW would be held back, or wrong use.

    Example: xdsctl diff /srv/records-of-main /srv/records-of-this-branch
    """
    from xds_server.api.difference_data import difference_data
    from xds_server.cli.diff import compared
    from xds_server.cli.differences import print_difference
    from xds_server.runtime.clock import clock

    found = compared(old, new, clock(), allow_empty=allow_empty)
    if output is Report.TEXT:
        print_difference(found)
    else:
        echo(difference_data(found), output.value)
    raise typer.Exit(1 if found.refused else 2 if found.changes else 0)


@app.command(rich_help_panel=Panel.FOLDER)
def builds(records: Records, output: ReportOption = Report.TEXT) -> None:
    """Show distillation: which builds each deployment has to itself, and which it shares and with whom.

    What a deployment has to itself came with it and leaves with it.

    Exit code 0: it is printed; 2: wrong use.

    Example: xdsctl builds manifests/shop
    """
    from xds_server.cli import reports

    admission = _admitted(records)
    reports.print_errors(admission.problems)
    if output is Report.TEXT:
        reports.print_builds(admission.world)
    else:
        echo(reports.builds_data(admission.world), output.value)


def _extended(admission: "Admission", extensions: list[str], limit: float) -> "tuple[Compilation, tuple[Problem, ...]]":
    from xds_server.cli.extending import extended
    from xds_server.domain.errors import XdsServerError, leaves

    try:
        return extended(admission, extensions, limit)
    except* XdsServerError as failures:
        for failure in leaves(failures):
            typer.echo(f"xdsctl: {failure}", err=True)
    raise typer.Exit(1)


def _admitted(folder: Path) -> "Admission":
    """The records of a folder as a server with no state would take them."""
    from xds_server.cli.folders import admitted

    return admitted(folder)
