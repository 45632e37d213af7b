"""`xdsctl`: look at a folder of records before anyone is told of it."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xds_server.cli import looking, notifications, releases, rollouts, writing
from xds_server.cli.options import ADMIN, NOT_BOTH, AdminOption, Report, ReportOption, answered, drawn, echo, told
from xds_server.cli.values import ErrorIsOne, PlainWords, parse_last, version_of

if TYPE_CHECKING:
    from xds_server.domain.problems import Problem
    from xds_server.pipeline import Compilation
    from xds_server.records.admitted import Admission

app = typer.Typer(
    cls=PlainWords,
    help="Look at a folder of records before anyone is told of it, or ask a running server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How data is printed."""

    YAML = "yaml"
    JSON = "json"


Records = Annotated[Path, typer.Argument(help="A folder of YAML records.", exists=True, file_okay=False)]
FormatOption = Annotated[Format, typer.Option("-o", "--output", help="How to print it.")]


class Kind(StrEnum):
    """The kinds of records."""

    BUILD = "Build"
    APP_DEPLOYMENT = "AppDeployment"
    RELEASE = "Release"
    GATEWAY = "Gateway"
    APP = "App"


def _kind(text: str) -> str:
    found = next((each for each in Kind if each.lower() == text.lower()), None)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no kind of record; there is {', '.join(Kind)}")
    return found.value


class FieldsFormat(StrEnum):
    """How fields are printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    YAML = "yaml"


KindArgument = Annotated[
    str | None,
    typer.Argument(parser=_kind, metavar="KIND", help="Build, AppDeployment, Release, Gateway or App; absent: all."),
]


ExtensionOption = Annotated[
    list[str] | None,
    typer.Option(metavar="MODULE:FUNCTION", help="Call this extension, as a server does; may be repeated."),
]
ExtensionTimeout = Annotated[float, typer.Option(min=0.01, help="Seconds that an extension has for one resource.")]


ServerOption = Annotated[
    str, typer.Option(metavar="URL", help="Ask a running server, by its --admin address, in place of DIR.")
]


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=version_of("xdsctl"), is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version


@app.command()
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


@app.command()
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


@app.command(cls=ErrorIsOne)
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


@app.command()
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


@app.command()
def explain(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR [METHOD] URL",
            help="A folder of records (not with --server), a method (GET if absent), an absolute URL.",
            show_default=False,
        ),
    ],
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", metavar="'NAME: VALUE'", help="A header; may be repeated.")
    ] = None,
    caller: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="[APP/]COMPONENT@BUILD",
            help="A call inside the mesh, by the sidecar of this build; the URL's host names a component.",
        ),
    ] = "",
    server: ServerOption = "",
    gateway: Annotated[str, typer.Option("--gateway", "-g", help="NAME, or NAMESPACE.NAME. Absent: by the URL.")] = "",
    listener: Annotated[str, typer.Option("--listener", "-l", help="Its name. Absent: by the URL.")] = "",
    request_id: Annotated[
        str, typer.Option(help="The id that Envoy gives the request: its first 4 digits (0-9a-f) decide a draw.")
    ] = "",
    output: ReportOption = Report.TEXT,
) -> None:
    """Say what a proxy does with a request, and why: which rules it meets and misses, and where it ends.

    The proxy is a gateway; with --from it is the sidecar of the build that calls. Nothing is sent to it.

    Exit code 0: it reaches an application; 1: it cannot be told (no such gateway or build, no answer from the server);
    2: wrong use (no absolute URL, no header, no method, no request id; DIR and --server; --from and -g or -l);
    3: the proxy answers it, or some of such requests, itself (refused, redirected, no endpoint).

    Example: xdsctl explain manifests/shop http://shop.localhost:10000/cart -H 'x-early-adopter: true'
    """
    from xds_server.api.explain import Question, explained
    from xds_server.api.problems import Standing
    from xds_server.cli import explain as asking
    from xds_server.cli.servers import NoAnswer
    from xds_server.traffic.requests import CannotExplain, NoRequest

    place, method, url = _request_words(words, server)
    if caller and (gateway or listener):
        raise typer.BadParameter("write --from, or --gateway and --listener: a call does not pass a gateway")
    question = Question(
        caller=caller,
        method=method,
        url=url,
        headers=tuple(header or ()),
        gateway=gateway,
        listener=listener,
        request_id=request_id or None,
    )
    try:
        question.request()
        if server:
            decision = asking.ask(server, question)
        else:
            admission = _admitted(_folder(place))
            decision = explained(Standing(admission.world, admission.problems), question)
    except NoRequest as error:
        raise typer.BadParameter(str(error)) from None
    except (CannotExplain, NoAnswer) as error:
        typer.echo(f"xdsctl: {error}", err=True)
        raise typer.Exit(1) from None
    if output is Report.TEXT:
        asking.print_decision(decision)
    else:
        echo(asking.data(decision), output.value)
    raise typer.Exit(0 if decision.arrives else 3)


def _request_words(words: list[str], server: str) -> tuple[str, str, str]:
    """Folder (empty if a server is asked), method and URL."""
    places = 0 if server else 1
    if server and len(words) > 1 and Path(words[0]).is_dir():
        raise typer.BadParameter(NOT_BOTH)
    match words[places:]:
        case [url]:
            method = "GET"
        case [method, url]:
            pass
        case _:
            raise typer.BadParameter("write DIR [METHOD] URL, or --server URL [METHOD] URL")
    return "".join(words[:places]), method, url


def _folder(word: str) -> Path:
    folder = Path(word)
    if not folder.is_dir():
        raise typer.BadParameter(f"{word!r} is not a folder of records; write DIR [METHOD] URL")
    return folder


app.add_typer(releases.app)
app.add_typer(rollouts.app)
app.add_typer(notifications.app, name="notifications")
app.add_typer(writing.app)
app.add_typer(looking.app)


@app.command()
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


@app.command()
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

    Exit code 0: it is printed; 1: the server does not answer; 2: wrong use.

    Example: xdsctl top shop
    """
    from xds_server.cli import traffic

    with drawn():
        if output is Report.TEXT:
            traffic.show_traffic(server, of, last)
        else:
            echo(traffic.data(traffic.traffic(server, of, last)), output.value)


@app.command()
def compare(
    release: releases.Release,
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


@app.command()
def fields(
    kind: KindArgument = None,
    output: Annotated[
        FieldsFormat, typer.Option("-o", "--output", help="How to print it; markdown is docs/fields.md.")
    ] = FieldsFormat.TEXT,
) -> None:
    """Print every field of the records: type, default, example, and the Envoy field that it becomes.

    Exit code 0: it is printed; 2: wrong use.

    Example: xdsctl fields Release
    """
    from xds_server.cli import fields as found

    kinds = [kind] if kind else [each.value for each in Kind]
    match output:
        case FieldsFormat.TEXT:
            found.print_fields(kinds)
        case FieldsFormat.MARKDOWN:
            typer.echo(found.page(kinds), nl=False)
        case _:
            echo(found.fields_data(kinds), output.value)


@app.command()
def schema(kind: KindArgument = None, output: FormatOption = Format.JSON) -> None:
    """Print the JSON schema of the records, for an editor that checks and completes them.

    Without a kind: of all of them, told apart by `kind`.

    Exit code 0: it is printed; 2: wrong use.

    Example: xdsctl schema > records.schema.json
    """
    from xds_server.records.schema import schema as schema_of

    echo(schema_of(kind or ""), output.value)


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


def main() -> None:
    app()
