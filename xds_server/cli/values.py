"""Values that commands take, and what is said when they are written wrong."""

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typing_extensions import override

from xds_server.domain.addresses import Address, read_address
from xds_server.domain.versions import OLDEST, Minor, written

LABEL = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
PYDANTIC = "Value error, "
"""What pydantic puts before the words of a validator."""
RECORD_WORD = re.compile(rf"(?:{LABEL}\.)?{LABEL}")


def parse_address(text: str | Address) -> Address:
    if isinstance(text, Address):
        return text
    address = read_address(text)
    if address is None:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:18000")
    return address


def parse_word(text: str) -> str:
    """The name of a record, with its namespace if that is not the usual one."""
    if not RECORD_WORD.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not the name of a record, such as edge or prod.edge")
    return text


def parse_label(text: str) -> str:
    """The name of a component."""
    if not re.fullmatch(LABEL, text):
        raise typer.BadParameter(f"{text!r} is no name of a component, such as web: a-z, 0-9 and '-', at most 63")
    return text


def parse_seconds(text: "str | float") -> float:
    """A duration as records have it, in seconds."""
    from pydantic import TypeAdapter, ValidationError

    from xds_server.records.values import Duration

    if not isinstance(text, str):
        return text
    try:
        return TypeAdapter(Duration).validate_python(text).total_seconds()
    except ValidationError:
        raise typer.BadParameter(f"{text!r} is no duration, such as 500ms, 60s or 5m") from None


def parse_last(text: "str | float") -> float:
    """How long back a server is asked to look, in seconds: no longer than it remembers."""
    from xds_server.api.traffic import HOUR

    found = parse_seconds(text)
    if not 0 < found <= HOUR:
        raise typer.BadParameter(f"{text!r}: what is remembered is the last hour, 1h")
    return found


def parse_minor(text: str) -> Minor:
    """A version of Envoy that is supported, as far as it decides what Envoy understands."""
    found = re.match(r"(\d+)\.(\d+)(?:\.|$)", text)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < OLDEST:
        raise typer.BadParameter(f"{text!r} is no version of Envoy that is supported: {written(OLDEST)} or later")
    return version


class PlainWords(TyperGroup):
    """A program that says what is wrong with a value without saying which library noticed."""

    @override
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TyperException as wrong:
            wrong.message = wrong.message.removeprefix(PYDANTIC)
            raise


class ErrorIsOne(TyperCommand):
    """A command whose exit code 2 says something else than that it was used wrong."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except TyperException as wrong:
            vars(wrong).update(exit_code=1)
            raise
