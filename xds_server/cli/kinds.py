"""`xdsctl`'s commands about the kinds of records: the fields of each, and a schema for editors."""

from enum import StrEnum
from typing import Annotated

import typer

from xds_server.cli.options import Format, FormatOption, Panel, echo

app = typer.Typer()


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


@app.command(rich_help_panel=Panel.ABOUT)
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


@app.command(rich_help_panel=Panel.ABOUT)
def schema(kind: KindArgument = None, output: FormatOption = Format.JSON) -> None:
    """Print the JSON schema of the records, for an editor that checks and completes them.

    Without a kind: of all of them, told apart by `kind`.

    Exit code 0: it is printed; 2: wrong use.

    Example: xdsctl schema > records.schema.json
    """
    from xds_server.records.schema import schema as schema_of

    echo(schema_of(kind or ""), output.value)
