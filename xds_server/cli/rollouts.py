"""`xdsctl`'s commands about releases that move by themselves: look, go on, wait, and say that a gate is open."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from xds_server.cli.options import ADMIN, AdminOption, Panel, Report, ReportOption, answered, echo
from xds_server.cli.releases import Release, WhoOption, WhyOption
from xds_server.cli.values import parse_seconds

if TYPE_CHECKING:
    from xds_server.api.steering import EventReport

app = typer.Typer()

AN_INSTANT = "2026-12-01T09:00:00Z"


@app.command(rich_help_panel=Panel.LOOK)
def rollout(release: Release, server: AdminOption = ADMIN, output: ReportOption = Report.TEXT) -> None:
    """Say how a release moves by itself: at which step it is, what it waits for, and what its guard says.

    Exit code 0: said; 1: the server does not answer, or there is no such release; 3: it has no rollout.
    """
    from xds_server.cli import rolling

    found = answered(lambda: rolling.rollout(server, release))
    if output is not Report.TEXT:
        echo(found and found.model_dump(mode="json", by_alias=True), output.value)
    elif found is not None:
        for line in rolling.lines(found):
            typer.echo(line)
    if found is None:
        typer.echo(f"{release} has no rollout: its record says what it gives", err=True)
        raise typer.Exit(3)


@app.command(rich_help_panel=Panel.ROLLOUTS)
def promote(
    release: Release,
    from_step: Annotated[
        int,
        typer.Option(min=0, help="The step that it is at, counted from 1; 0: before the first.", show_default=False),
    ],
    why: WhyOption,
    who: WhoOption = "",
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Let a rollout go to its next step now, whatever it waits for. One that was rolled back begins again.

    Refused if it has left --from-step meanwhile: xdsctl rollout says where it is.

    Exit code 0: done; 1: it is not done, and why; 2: wrong use.

    Example: xdsctl promote shop --from-step 2 --why "load test passed"
    """
    _say(server, f"/releases/{release}/promote", {"fromStep": from_step}, who, why, output)


@app.command(rich_help_panel=Panel.ROLLOUTS)
def pause(
    release: Release,
    why: WhyOption,
    who: WhoOption = "",
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Keep a rollout at the step where it is. It is judged on, and rolled back if it is worse.

    Exit code 0: done; 1: it is not done, and why; 2: wrong use.
    """
    _say(server, f"/releases/{release}/pause", {}, who, why, output)


@app.command(rich_help_panel=Panel.ROLLOUTS)
def resume(
    release: Release,
    why: WhyOption,
    who: WhoOption = "",
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Let a rollout go on after a pause.

    Exit code 0: done; 1: it is not done, and why; 2: wrong use.
    """
    _say(server, f"/releases/{release}/resume", {}, who, why, output)


@app.command(rich_help_panel=Panel.ROLLOUTS)
def approve(
    release: Release,
    gate: Annotated[str, typer.Argument(metavar="GATE", help="What the step calls it.", show_default=False)],
    why: WhyOption,
    who: WhoOption = "",
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Open the gate that a rollout waits at.

    Exit code 0: done; 1: it is not done, and why; 2: wrong use.

    Example: xdsctl approve shop "release manager" --why "signed off"
    """
    _say(server, f"/releases/{release}/approve", {"gate": gate}, who, why, output)


def _until(text: str) -> datetime:
    """An instant or a day, as records have it, or so long from now."""
    from pydantic import TypeAdapter, ValidationError

    from xds_server.records.values import Instant
    from xds_server.runtime.clock import clock

    with suppress(ValidationError):
        found: datetime = TypeAdapter(Instant).validate_python(text)
        return found
    with suppress(typer.BadParameter):
        return clock() + timedelta(seconds=parse_seconds(text))
    why = f"{text!r} is no instant with a zone ({AN_INSTANT}), no day (2026-12-01) and no duration, such as 12h"
    raise typer.BadParameter(why)


@app.command(rich_help_panel=Panel.ROLLOUTS)
def freeze(
    until: Annotated[
        datetime | None,
        typer.Option(
            parser=_until,
            metavar="INSTANT|DAY|DURATION",
            help=f"{AN_INSTANT}; a day: its end in UTC; or so long from now, such as 12h.",
            show_default=False,
        ),
    ] = None,
    why: Annotated[str, typer.Option("--why", help="Why, for those who ask what holds a rollout.")] = "",
    who: WhoOption = "",
    server: AdminOption = ADMIN,
    output: ReportOption = Report.TEXT,
) -> None:
    """Keep every rollout where it is until then. What is worse is rolled back all the same.

    Without --until and --why it says what is frozen now.

    Exit code 0: done, or said; 1: it is not done, and why; 2: wrong use.

    Example: xdsctl freeze --until 2026-11-30T08:00:00Z --why "Black Friday"
    """
    why = why.strip()
    if (until is None) != (not why):
        raise typer.BadParameter("write --until and --why; or neither, to see what is frozen")
    _frozen(server, "/freeze", {} if until is None else {"until": until.isoformat()}, who, why, output)


@app.command(rich_help_panel=Panel.ROLLOUTS)
def unfreeze(
    why: WhyOption, who: WhoOption = "", server: AdminOption = ADMIN, output: ReportOption = Report.TEXT
) -> None:
    """Let rollouts move again.

    Exit code 0: done; 1: it is not done, and why; 2: wrong use.
    """
    _frozen(server, "/unfreeze", {}, who, why, output)


def _frozen(server: str, path: str, said: dict[str, object], who: str, why: str, output: Report) -> None:
    from xds_server.cli import rolling

    found = answered(lambda: rolling.frozen(server, path, rolling.word(said, who, why) if why else None))
    if output is not Report.TEXT:
        echo(found.model_dump(mode="json", by_alias=True), output.value)
    elif found.until:
        typer.echo(f"rollouts stay where they are until {found.until:%Y-%m-%dT%H:%M:%SZ}: {found.why}")
    else:
        typer.echo("rollouts may move, but for those that their records freeze")


def _say(server: str, path: str, said: dict[str, object], who: str, why: str, output: Report) -> None:
    from xds_server.cli import rolling

    made: EventReport = answered(lambda: rolling.said(server, path, rolling.word(said, who, why)))
    if output is not Report.TEXT:
        echo(made.model_dump(mode="json", by_alias=True), output.value)
    else:
        typer.echo(f"{made.release}: {made.what}")
