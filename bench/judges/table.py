"""The tables of `docs/judging.md`, from the figures that `make bench` has kept."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.judges.others import JUDGES
from bench.judges.scenarios import BEYOND, HEALTHY, WORSE
from bench.judges.traffic import Scenario
from bench.report import put

PAGE = Path(__file__).resolve().parents[2] / "docs" / "judging.md"
OURS = "xds-server"
NAMES = (OURS, *JUDGES)

Figures = Mapping[str, Mapping[str, Any]]
"""Of this benchmark, by what they are of."""


def healthy(scenarios: Sequence[Scenario], figures: Figures) -> str:
    """How many hours each judge has rolled back, and when ours said that it was safe."""
    return _table(
        [*NAMES, "known to be safe"],
        ((each, [*_rolled_back(each, figures, "rolled back"), _safe(each, figures)]) for each in scenarios),
    )


def worse(scenarios: Sequence[Scenario], figures: Figures) -> str:
    """How many each judge has found, and after how long."""
    return _table(NAMES, ((each, _found(each, figures)) for each in scenarios))


TABLES = {
    "healthy": lambda figures: healthy(HEALTHY, figures),
    "worse": lambda figures: worse(WORSE, figures),
    "beyond": lambda figures: healthy(BEYOND, figures),
}


def redrawn(page: str, figures: Mapping[str, Figures]) -> str:
    """The page with every table as the figures have it."""
    for name, table in TABLES.items():
        page = put(page, "table", name, table(figures.get("judge", {})))
    return page


def _table(titles: Sequence[str], rows: Iterable[tuple[Scenario, Sequence[str]]]) -> str:
    lines = [["", *titles], ["---"] * (len(titles) + 1), *([each.name, *cells] for each, cells in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _rolled_back(scenario: Scenario, figures: Figures, what: str) -> list[str]:
    return [_figure(figures, f"{scenario.name}: {name}: {what}") for name in NAMES]


def _found(scenario: Scenario, figures: Figures) -> list[str]:
    both = zip(
        _rolled_back(scenario, figures, "rolled back"),
        _rolled_back(scenario, figures, "rolled back after"),
        strict=True,
    )
    return [f"{share}, {after}" if after else share for share, after in both]


def _safe(scenario: Scenario, figures: Figures) -> str:
    share, after = (_figure(figures, f"{scenario.name}: {OURS}: {what}") for what in ("safe", "safe after"))
    return f"{share}, {after}" if after else share


def _figure(figures: Figures, what: str) -> str:
    """Empty if it was not measured."""
    return f"{figures[what]['value']:.3g} {figures[what]['unit']}" if what in figures else ""
