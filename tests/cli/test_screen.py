import time
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from xds_server.cli import screen
from xds_server.cli.servers import NoAnswer, Unreachable


def test_a_pipe_is_never_folded() -> None:
    assert screen.console().width == screen.UNFOLDED


def test_on_a_narrow_terminal_no_part_of_a_name_is_missing() -> None:
    narrow = Console(file=StringIO(), width=10)
    rows = screen.table("NAME")
    rows.add_row("checkout-frontend")
    with narrow.capture() as printed:
        narrow.print(rows)

    assert "".join(printed.get().split()) == "NAMEcheckout-frontend"


def test_on_a_terminal_it_is_drawn_anew_also_after_the_server_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = StringIO()
    monkeypatch.setattr(screen, "console", lambda: Console(file=terminal, force_terminal=True, width=80))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    answers: Iterator[str | Exception] = iter(["first", Unreachable("away"), "second", NoAnswer("wrong")])

    def ask() -> str:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.raises(NoAnswer, match="wrong"):
        screen.show(ask, str.upper)
    seen = [terminal.getvalue().index(each) for each in ("FIRST", "asked again", "SECOND")]
    assert seen == sorted(seen)
