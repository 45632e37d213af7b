"""The tables of `docs/judging.md`, from the figures that `make bench` has kept."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.canaries import KINDS, Kind
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


def canaries(figures: Figures) -> str:
    """What has become of those on a real Envoy, and when."""
    titles = ("became", "after: median", "least to most", "drawn: median", "requests of the canary", "requests lost")
    return _rows(titles, ((each.title, _became(each, figures)) for each in KINDS))


TABLES = {
    "healthy": ("judge", lambda figures: healthy(HEALTHY, figures)),
    "worse": ("judge", lambda figures: worse(WORSE, figures)),
    "beyond": ("judge", lambda figures: healthy(BEYOND, figures)),
    "canaries": ("canary", canaries),
}
"""Of which benchmark each is."""


def redrawn(page: str, figures: Mapping[str, Figures]) -> str:
    """The page with every table as the figures have it."""
    for name, (bench, table) in TABLES.items():
        page = put(page, "table", name, table(figures.get(bench, {})))
    return page


def _table(titles: Sequence[str], rows: Iterable[tuple[Scenario, Sequence[str]]]) -> str:
    return _rows(titles, ((each.name, cells) for each, cells in rows))


def _rows(titles: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    lines = [["", *titles], ["---"] * (len(titles) + 1), *([name, *cells] for name, cells in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _became(kind: Kind, figures: Figures) -> list[str]:
    def value(what: str) -> str:
        found = figures.get(f"{kind.title}, 100 requests a second: {what}")
        return "" if found is None else f"{round(found['value']):,}"

    after = f"{kind.ends} after"
    return [
        f"{value(str(kind.ends))} of {value('canaries')} {kind.ends}",
        f"{value(f'{after}, median')} s",
        f"{value(f'{after}, least')} to {value(f'{after}, most')} s",
        f"{value(f'{after}, median of 200 drawn')} s",
        value("requests of the canary, median"),
        f"{value('requests lost')} of {value('requests')}",
    ]


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
