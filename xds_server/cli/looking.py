"""`xdsctl`'s commands about what there is: list it, describe a release, let go of what nothing uses."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xds_server.cli.options import ADMIN, NOT_BOTH, AdminOption, Panel, Report, ReportOption, drawn, echo, usual_server
from xds_server.cli.releases import Release, WhoOption
from xds_server.cli.values import RECORD_WORD, parse_seconds

app = typer.Typer()

WEEK = 7 * 86400.0

KINDS = {
    "releases": ("release",),
    "deployments": ("deployment", "appdeployment", "appdeployments"),
    "builds": ("build",),
    "gateways": ("gateway",),
    "apps": ("app",),
}
"""What may be listed, and how it may be written, too."""


class TableFormat(StrEnum):
    """How records are printed."""

    TEXT = "text"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


ServerOption = Annotated[
    str, typer.Option(metavar="URL", help="The server, by its --admin address (not with DIR).", show_default=ADMIN)
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KIND] [NAME] [DIR]",
        help="releases (if absent), deployments, builds, gateways or apps; one of them; a folder of records.",
        show_default=False,
    ),
]


@app.command(rich_help_panel=Panel.LOOK)
def get(
    words: Words = None,
    of: Annotated[str, typer.Option("--app", metavar="APP", help="Only of this app: NAME, or NAMESPACE.NAME.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only of this namespace.")] = "",
    server: ServerOption = "",
    output: Annotated[
        TableFormat, typer.Option("-o", "--output", help="A table, a wider one, or the records themselves.")
    ] = TableFormat.TEXT,
) -> None:
    """List what is in force at a server and how it is, or with DIR what records say.

    With -o yaml the records are printed as they are in force: of a release that moves or is pinned, what it gives.

    A word that is a folder is DIR, and if it could be a name, that is said on stderr; with --server it is a name.

    Exit code 0: it is printed; 1: the server does not answer, or there is none by that name; 2: wrong use.

    Example: xdsctl get release shop -o yaml
    """
    from xds_server.api.inventory import Filters, Listed
    from xds_server.cli import get as found

    word, name, folder = _which(words or [], server)
    kind, which = Listed(word), Filters(name=name, app=of, namespace=namespace)
    with drawn():
        reports = found.said(folder, kind, which) if folder else found.in_force(server or usual_server(), kind, which)
    match output:
        case TableFormat.TEXT | TableFormat.WIDE:
            found.print_table(kind, reports, wide=output is TableFormat.WIDE)
            if not reports:
                where = f"in {folder}" if folder else "in force"
                typer.echo(f"there are no {word} {where}", err=True)
        case TableFormat.JSON:
            documents = found.documents(reports)
            echo(documents[0] if name and documents else documents, output.value)
        case TableFormat.YAML:
            typer.echo(found.in_yaml(found.documents(reports)), nl=False)


def _which(words: list[str], server: str) -> tuple[str, str, Path | None]:
    """The kind, the name (empty: all) and the folder (None: a server is asked)."""
    rest = list(words)
    kind = "releases"
    if rest and (found := _kind(rest[0])):
        kind = found
        del rest[0]
    may_be_a_name = bool(server and rest and RECORD_WORD.fullmatch(rest[-1]))
    folder = Path(rest.pop()) if rest and not may_be_a_name and Path(rest[-1]).is_dir() else None
    if folder is not None and server:
        raise typer.BadParameter(NOT_BOTH)
    if len(rest) > 1:
        known = ", ".join(KINDS)
        raise typer.BadParameter(f"{' '.join(rest)!r}: write [KIND] [NAME] [DIR]; kinds are {known}, DIR is a folder")
    if folder is not None and not rest and RECORD_WORD.fullmatch(words[-1]):
        typer.echo(f"{folder} is a folder here, so this is what its records say; with --server it is a name", err=True)
    return kind, "".join(rest), folder


def _kind(word: str) -> str:
    lower = word.lower()
    return next((kind for kind, others in KINDS.items() if lower == kind or lower in others), "")


@app.command(rich_help_panel=Panel.LOOK)
def describe(
    release: Release,
    records: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="A folder of records: what they say.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Draw it anew every second, until Ctrl-C.")] = False,
    server: ServerOption = "",
    output: ReportOption = Report.TEXT,
) -> None:
    """Show one release as a tree: who gets what, where it runs, how far it is, and what is wrong.

    Its deployments with the share that was set and that they had, components, builds; audiences, rollout, pin,
    problems, who has accepted it, and what was done to it last.

    A share that cannot be chance is a warning. Requests are counted over the last hour.

    Exit code 0: it is printed; 1: the server does not answer, or knows no such release; 2: wrong use.

    Example: xdsctl describe shop -w
    """
    from xds_server.cli import describe as found

    if records is not None and (server or watch):
        raise typer.BadParameter(NOT_BOTH if server else "records of a folder do not move: write DIR or -w, not both")
    with drawn():
        if watch and output is Report.TEXT:
            found.watch(server or usual_server(), release)
            return
        description = found.said(records, release) if records else found.in_force(server or usual_server(), release)
    if output is Report.TEXT:
        found.print_description(description)
    else:
        echo(found.data(description), output.value)


@app.command(rich_help_panel=Panel.CHANGE)
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what may go; so it is without --yes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take what may go out of its files.")] = False,
    older_than: Annotated[
        float,
        typer.Option(
            parser=parse_seconds,
            metavar="DURATION",
            help="Only what was first accepted so long ago.",
            show_default="7d",
        ),
    ] = WEEK,
    of: Annotated[str, typer.Option("--app", metavar="APP", help="Only of this app: NAME, or NAMESPACE.NAME.")] = "",
    why: Annotated[str, typer.Option("--why", help="Why, for those who read the log.")] = "",
    who: WhoOption = "",
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Say which deployments may go, because no release gives them, asks for them, or can go back to them.

    With --yes their documents are taken out of the files of records, all or none. How many a release can go back to is
    its policy.history. Build records stay; a build that no deployment has any more leaves the mesh.

    Exit code 0: done, or said; 1: it is not done, and why; 2: wrong use.

    Example: xdsctl gc --older-than 30d --yes
    """
    from xds_server.cli import gc as found
    from xds_server.cli import steering

    if dry_run and yes:
        raise typer.BadParameter("write --dry-run or --yes, not both")
    with drawn():
        reports = found.unused(server, older_than, of)
        removed = found.removed(server, reports, who or steering.who(), why) if yes and reports else None
    if output is not Report.TEXT:
        echo(found.data(reports), output.value)
        return
    if not reports:
        typer.echo("every deployment is used, or too new")
        return
    found.print_unused(reports)
    if removed is None:
        typer.echo("Nothing is done; with --yes they are taken out of their files.")
    else:
        typer.echo(f"{', '.join(removed.deployments)}: taken out of {', '.join(removed.files)}")
