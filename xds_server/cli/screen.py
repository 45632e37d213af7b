"""How pictures get to a terminal, or into a pipe."""

import time
from collections.abc import Callable, Container, Iterator
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from xds_server.cli.servers import Unreachable

Answered = TypeVar("Answered")

REDRAWN = 1.0
"""Seconds between two pictures."""
UNFOLDED = 10_000
"""Columns of a pipe: whoever reads it folds lines, or searches them."""


def console() -> Console:
    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = UNFOLDED
    return found


def table(*columns: str, right: Container[str] = (), header: bool = True) -> Table:
    """What does not fit goes on in the next line: half a name is of no use. `right`: columns of numbers."""
    found = Table(box=None, pad_edge=False, show_header=header)
    for each in columns:
        found.add_column(each, justify="right" if each in right else "left", overflow="fold")
    return found


def show(ask: Callable[[], Answered], draw: Callable[[Answered], RenderableType]) -> None:
    """Drawn anew until it is interrupted; where nobody looks, printed once."""
    screen = console()
    if not screen.is_terminal:
        screen.print(draw(ask()))
        return
    with Live(console=screen, auto_refresh=False, screen=True) as live:
        for found in _again_and_again(ask):
            live.update("the server does not answer; it is asked again" if found is None else draw(found))
            live.refresh()


def _again_and_again(ask: Callable[[], Answered]) -> Iterator[Answered | None]:
    yield ask()
    while True:
        time.sleep(REDRAWN)
        try:
            yield ask()
        except Unreachable:
            yield None
