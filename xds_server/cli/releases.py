"""`xdsctl`'s commands about a release: wait until it is live, take it back, and say who did what to it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xds_server.cli.options import ADMIN, AdminOption, Panel, Report, ReportOption, answered, echo
from xds_server.cli.values import parse_seconds, parse_word

if TYPE_CHECKING:
    from xds_server.cli.waiting import Awaited

app = typer.Typer()


def parse_content(text: str) -> str:
    found = text.lower()
    if found and not re.fullmatch("[0-9a-f]{8,32}", found):
        raise typer.BadParameter(f"{text!r} is no content: write 8 to 32 hexadecimal digits of one")
    return found


@app.command(rich_help_panel=Panel.CHANGE)
def wait(
    release: Annotated[
        str, typer.Argument(metavar="[RELEASE]", help="What is in force of it now: NAME, or NAMESPACE.NAME.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", help="The releases that this file states.", exists=True, dir_okay=False),
    ] = None,
    content: Annotated[
        str,
        typer.Option(
            parser=parse_content, metavar="HASH", help="This content: 8 digits of it or more.", show_default=False
        ),
    ] = "",
    timeout: Annotated[
        float, typer.Option(parser=parse_seconds, metavar="DURATION", help="How long.", show_default="60s")
    ] = 60.0,
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Wait until a release is live: every connected proxy that has it loaded has accepted what it says.

    What is waited for is that content, whatever comes after it. With -f the server need not have read it yet.

    Progress is told on stderr. A server that restarts meanwhile is asked again.

    Exit code 0: it is live; 1: the server does not answer; 2: wrong use;
    3: it was replaced or removed before it was live, or with -f before it was asked for;
    4: refused, by the server or by a proxy;
    5: the time is over; 6: the time is over, and no proxy of its gateways is connected.

    Example: xdsctl wait -f records/shop.yaml --timeout 30s
    """
    until_live(_awaited(release, file, content), timeout, server, output)


def until_live(awaited: "list[Awaited]", timeout: float, server: str, output: Report, *, aside: bool = False) -> None:
    """What comes of it is printed, and is the exit code. `aside`: on stderr, because stdout has something else."""
    from xds_server.api.release_reports import in_words
    from xds_server.cli import waiting
    from xds_server.cli.servers import NoAnswer

    try:
        waiting.waited(server, awaited, timeout, lambda line: typer.echo(line, err=True))
    except NoAnswer as error:
        typer.echo(f"xdsctl: {error}", err=True)
        raise typer.Exit(waiting.Code.NO_SERVER) from None
    if output is Report.TEXT:
        for answer in waiting.answers(awaited):
            typer.echo(in_words(answer), err=aside)
    else:
        echo(waiting.data(awaited), output.value)
    raise typer.Exit(waiting.code(awaited))


def _awaited(release: str, file: Path | None, content: str) -> "list[Awaited]":
    from xds_server.cli import reports, waiting

    if file is not None and (release or content):
        raise typer.BadParameter("write -f FILE alone, or RELEASE, --content or both")
    if file is None:
        if not (release or content):
            raise typer.BadParameter("write a RELEASE, -f FILE or --content HASH")
        return [waiting.Awaited(release, content)]
    try:
        return waiting.awaited_in(file)
    except waiting.NotReleases as error:
        if not error.problems:
            raise typer.BadParameter(str(error)) from None
        reports.print_errors(error.problems)
        raise typer.Exit(waiting.Code.REFUSED) from None


Release = Annotated[
    str,
    typer.Argument(parser=parse_word, metavar="RELEASE", help="NAME, or NAMESPACE.NAME.", show_default=False),
]


def _reason(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("say why: the history keeps it")
    return text


WhyOption = Annotated[
    str,
    typer.Option("--why", callback=_reason, help="Why, for those who read the history.", show_default=False),
]
WhoOption = Annotated[str, typer.Option("--who", help="Whose word it is.", show_default="user@host")]
TimeoutOption = Annotated[
    float, typer.Option(parser=parse_seconds, metavar="DURATION", help="Wait so long.", show_default="60s")
]


@app.command(rich_help_panel=Panel.CHANGE)
def rollback(
    release: Release,
    why: WhyOption,
    to: Annotated[str, typer.Option(help="The deployment to go to.", show_default="what it gave before")] = "",
    who: WhoOption = "",
    timeout: TimeoutOption = 60.0,
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Give the users of a release what they had before, and pin it: one push, and then it waits until that is live.

    Nothing moves its default again until xdsctl unpin: no record, no rollout, no restart. Audiences stay.

    Exit codes are those of xdsctl wait; 1 also if it is not done, and why is said.

    Example: xdsctl rollback shop --to shop-v1 --why "checkout fails for Safari"
    """
    from xds_server.cli import steering

    said = {"who": who or steering.who(), "why": why} | ({"to": to} if to else {})
    made = answered(lambda: steering.rolled_back(server, release, said))
    typer.echo(f"{made.release}: {made.what}", err=output is not Report.TEXT)
    wait(release, None, made.content, timeout, server, output)


@app.command(rich_help_panel=Panel.CHANGE)
def unpin(
    release: Release,
    why: WhyOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this only what it would do is said.")] = False,
    who: WhoOption = "",
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Let a release follow its record again. Without --yes it only says what would move.

    Exit code 0: done, or said; 1: it is not done, and why; 2: wrong use.
    """
    from xds_server.cli import steering

    said = {"who": who or steering.who(), "why": why}
    made = answered(lambda: steering.unpinned(server, release, said, only_say=not yes))
    if output is not Report.TEXT:
        echo(made.model_dump(mode="json", by_alias=True), output.value)
    elif yes:
        typer.echo(f"{made.release}: {made.what}")
    else:
        typer.echo(f"{made.release} would be {made.what}\nNothing is done; with --yes it is.")


@app.command(rich_help_panel=Panel.LOOK)
def history(release: Release, server: AdminOption = ADMIN, output: ReportOption = Report.TEXT) -> None:
    """List what was done to a release, newest first: when, who, what, why.

    Exit code 0: said; 1: the server does not answer.
    """
    from xds_server.cli import steering

    found = answered(lambda: steering.history(server, release))
    if output is not Report.TEXT:
        echo([each.model_dump(mode="json", by_alias=True) for each in found], output.value)
        return
    for line in steering.lines(found):
        typer.echo(line)
    if not found:
        typer.echo(f"nothing was done to {release} since it is known here", err=True)
