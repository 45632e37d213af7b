"""`xdsctl`'s commands that write records: apply files, set shares."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from xds_server.cli.options import ADMIN, AdminOption, Panel, Report, ReportOption, echo
from xds_server.cli.releases import Release, TimeoutOption, WhoOption, parse_content, until_live
from xds_server.cli.values import ErrorIsOne

Answered = TypeVar("Answered")

app = typer.Typer()

FilesArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="Files of records.", exists=True, dir_okay=False, show_default=False),
]
WhyOption = Annotated[str, typer.Option("--why", help="Why, for those who read the history.")]


@app.command(rich_help_panel=Panel.CHANGE)
def apply(
    files: FilesArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, say what would be written, and write nothing.")
    ] = False,
    wait_for: Annotated[bool, typer.Option("--wait", help="Wait until the releases among them are live.")] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RELEASE=HASH",
            help="Only if the folder states this content of a release, as xdsctl wait names it; may be repeated.",
        ),
    ] = None,
    why: WhyOption = "",
    who: WhoOption = "",
    timeout: TimeoutOption = 60.0,
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Write records into the folder of a running server: all of them, or none.

    Each is checked first, against what is in force. One that the folder states already is replaced there,
    in whatever file; everything else in that file stays. A new one goes into a file that is called as FILE.

    Exit code 0: done, or nothing is to be done; 1: not done, and why; 2: wrong use; with --wait those of xdsctl wait.

    Example: xdsctl apply v3.yaml release.yaml --wait --why "v3 for early adopters"
    """
    from xds_server.cli import applying, steering
    from xds_server.cli.servers import problem

    said = {
        "who": who or steering.who(),
        "why": why,
        "dryRun": dry_run,
        "expect": dict(_expected(each) for each in expect or ()),
    }
    report = _answered(lambda: applying.applied_at(server, {**said, "files": applying.files_of(files)}))
    if output is not Report.TEXT:
        echo(report.model_dump(mode="json", by_alias=True), output.value)
    else:
        if report.problems:
            from xds_server.cli import reports

            reports.print_aside(map(problem, report.problems))
        for line in applying.lines(report, dry_run=dry_run):
            typer.echo(line)
    awaited = applying.awaited_of(report) if wait_for and not dry_run else []
    if awaited:
        until_live(awaited, timeout, server, Report.TEXT, aside=output is not Report.TEXT)


def _expected(text: str) -> tuple[str, str]:
    release, equals, content = text.partition("=")
    if not (release and equals and content):
        raise typer.BadParameter(f"{text!r} is not RELEASE=HASH, such as shop=8dd2c81a", param_hint="--expect")
    return release, parse_content(content)


@app.command(cls=ErrorIsOne, rich_help_panel=Panel.CHANGE)
def plan(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[DIR] FILE", help="A folder to compare with, files of records.", exists=True, show_default=False
        ),
    ],
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Say what xdsctl apply would do: traffic and users that move, what rollouts would do, builds, resources.

    It is compared with what is in force at a running server, or with a folder of records, if that comes first.

    Exit code 0: nothing changes; 2: something does; 1: a record would be refused, no answer, or wrong use.

    Example: xdsctl plan release.yaml
    """
    from xds_server.cli import planning

    if files[-1].is_dir() or any(each.is_dir() for each in files[1:]):
        typer.echo("xdsctl: write FILE..., or DIR FILE...: the folder to compare with comes first", err=True)
        raise typer.Exit(1)
    report = _answered(lambda: planning.plan_of(files, server), "what is wrong is not planned: put it right first")
    if output is Report.TEXT:
        planning.print_plan(report)
    else:
        echo(report.plan, output.value)
    raise typer.Exit(1 if report.refused else 2 if report.plan["changes"] else 0)


@app.command("set", rich_help_panel=Panel.CHANGE)
def set_shares(
    release: Release,
    shares: Annotated[
        list[str], typer.Argument(metavar="DEPLOYMENT=PERCENT", help="Which gets how much.", show_default=False)
    ],
    stop_rollout: Annotated[bool, typer.Option("--stop-rollout", help="Stop its rollout, if one runs.")] = False,
    expect: Annotated[
        str,
        typer.Option(
            parser=parse_content,
            metavar="HASH",
            help="Only if the folder states this content of it.",
            show_default=False,
        ),
    ] = "",
    why: WhyOption = "",
    who: WhoOption = "",
    timeout: TimeoutOption = 60.0,
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Give deployments a share of a release's default; the others have the rest, in the proportions that they had.

    Its record in the folder is written, only the weights in it, and then it waits until that is live.

    Exit code 0: it is live; 1: it is not done, and why; others as xdsctl wait.

    Example: xdsctl set shop shop-v2=10 --why "no errors at 5 %"
    """
    from xds_server.cli import applying, steering
    from xds_server.cli.waiting import Awaited

    wanted = dict(map(_share, shares))
    if len(wanted) < len(shares):
        raise typer.BadParameter("a deployment is written twice: which share shall it have?")
    said = {"who": who or steering.who(), "why": why, "shares": wanted, "stopRollout": stop_rollout}
    said |= {"expect": expect} if expect else {}
    made = _answered(lambda: applying.shares_set(server, release, said))
    typer.echo(f"{made.release}: {made.what}", err=output is not Report.TEXT)
    until_live([Awaited(made.release, made.content, made.at)], timeout, server, output)


def _share(text: str) -> tuple[str, float]:
    deployment, _, word = text.rpartition("=")
    try:
        share = float(word.removesuffix("%"))
    except ValueError:
        share = math.nan
    if not deployment or math.isnan(share):
        raise typer.BadParameter(f"{text!r} is not DEPLOYMENT=PERCENT, such as shop-v2=10")
    if not 0 <= share <= 100 or round(share, 2) != share:
        raise typer.BadParameter(f"{text!r}: a share is from 0 to 100, in steps of 0.01")
    return deployment, share


def _answered(ask: Callable[[], Answered], otherwise: str = "nothing is written") -> Answered:
    """`otherwise`: what comes of records that are wrong."""
    from xds_server.cli import applying
    from xds_server.cli.servers import NoAnswer

    try:
        return ask()
    except NoAnswer as error:
        problems = applying.problems_of(error)
        if problems:
            from xds_server.cli import reports

            reports.print_errors(problems)
        typer.echo(f"xdsctl: {otherwise if problems else error}", err=True)
        raise typer.Exit(1) from None
