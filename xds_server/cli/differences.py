"""How a difference is printed: who gets what first, then what brings it about."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xds_server.cli.reports import problem_line
from xds_server.difference.change import Line
from xds_server.difference.comparison import Difference
from xds_server.difference.lines import sections, summary
from xds_server.domain.problems import Problem

COLOURS = {"+": "green", "~": "yellow", "-": "red"}


def print_difference(found: Difference) -> None:
    console = Console(highlight=False)
    print_sections(console, sections(found))
    print_problems(console, {"Held back": found.refused, "New warnings": found.warned, "Solved": found.solved})
    colour = "red" if found.refused else "yellow" if found.changes else "green"
    console.print(Text(summary(found), colour), soft_wrap=True)


def print_sections(console: Console, said: Mapping[str, Sequence[Line]]) -> None:
    for title, lines in said.items():
        if lines:
            console.print(Text(title, "bold"))
            for line in lines:
                _print(console, line)


def print_problems(console: Console, said: Mapping[str, Sequence[Problem]]) -> None:
    for title, problems in said.items():
        if problems:
            console.print(Text(title, "bold"))
            for problem in problems:
                console.print(problem_line(problem), soft_wrap=True)


def _print(console: Console, line: Line) -> None:
    """On a terminal what is said is folded beside its subject; a pipe has no width."""
    indent, sign, subject, said = line
    colour = COLOURS.get(sign, "")
    if console.is_terminal:
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(*([Text(sign, colour)] if sign else []), Text(subject, colour), Text(said))
        console.print(Padding(row, (0, 0, 0, indent)))
    else:
        words = " ".join(each for each in (sign, subject, said) if each)
        console.print(" " * indent + words.rstrip(), soft_wrap=True, markup=False)
