"""What several commands of `xdsctl` have in common: how things are printed, and which server is asked."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer


class Format(StrEnum):
    """How data is printed."""

    YAML = "yaml"
    JSON = "json"


class Panel(StrEnum):
    """Under which title a command is listed."""

    FOLDER = "Records of a folder"
    LOOK = "What is in force at a server"
    CHANGE = "Change what is in force"
    ROLLOUTS = "Releases that move by themselves"
    ABOUT = "What records may say"


class Report(StrEnum):
    """How a report is printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


FormatOption = Annotated[Format, typer.Option("-o", "--output", help="How to print it.")]
ReportOption = Annotated[Report, typer.Option("-o", "--output", help="How to print it.")]

NOT_BOTH = "write DIR or --server, not both"
ADMIN = "http://127.0.0.1:18001"
ENVIRONMENT = "XDSCTL_SERVER"
"""The variable that says which server is asked where nothing else does."""
AdminOption = Annotated[
    str,
    typer.Option(
        "--server", envvar=ENVIRONMENT, show_envvar=False, metavar="URL", help="The server, by its --admin address."
    ),
]
ServerOption = Annotated[
    str, typer.Option(metavar="URL", help="Ask a running server, by its --admin address, in place of DIR.")
]


def usual_server() -> str:
    return os.environ.get(ENVIRONMENT) or ADMIN


def echo(data: Any, style: str) -> None:
    import yaml

    if style == "json":
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True).rstrip())


Answered = TypeVar("Answered")


@contextmanager
def told() -> Iterator[None]:
    """Where there is no answer: why, and exit code 1."""
    from xds_server.cli.servers import NoAnswer

    try:
        yield
    except NoAnswer as error:
        typer.echo(f"xdsctl: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def drawn() -> Iterator[None]:
    """What is drawn anew until Ctrl-C, which is its end; or why there is no answer."""
    with told():
        try:
            yield
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def answered(ask: Callable[[], Answered]) -> Answered:
    """What a server says; or why it does not, and exit code 1."""
    with told():
        return ask()
