"""`xdsctl explain`: what a proxy does with one request, and why."""

from pathlib import Path
from typing import Annotated

import typer

from xds_server.cli.options import NOT_BOTH, Panel, Report, ReportOption, ServerOption, echo

app = typer.Typer()


@app.command(rich_help_panel=Panel.FOLDER)
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
            from xds_server.cli.folders import admitted

            admission = admitted(_folder(place))
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
