"""The charts of `docs/performance.md` and the tables of `docs/judging.md`, from the figures that `make bench` has kept.

Each is a Mermaid block between two comments, which GitHub draws; what has not been measured is left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.judges import table
from bench.report import put

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "bench" / "figures.json"
PAGE = ROOT / "docs" / "performance.md"

Figures = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one unit. `bars`: the label of each, and its figure's name in the benchmark."""

    title: str
    unit: str
    bench: str
    bars: Mapping[str, str]


CHARTS = {
    "flip": Chart(
        "A release: rename to ACK of a real Envoy, idle, p50",
        "ms",
        "flip",
        {
            **{
                f"{apps:,} apps, {loaded} loaded": f"{apps} apps, {loaded} loaded, delta, on-demand, idle, p50"
                for apps, loaded in ((10, 10), (1000, 10), (10_000, 10), (10_000, 500))
            },
            **{f"full, {apps:,} apps": f"{apps} apps, delta, full, idle, p50" for apps in (10, 1000)},
        },
    ),
    "fanout": Chart(
        "One app flips for 1,000 proxies: change to last ACK",
        "ms",
        "fanout",
        {
            "xds-server": "1 apps, 1000 proxies (full), 1000 hold the app: change to last ACK",
            "bare grpcio": "1 apps, 1000 proxies (full), 1000 hold the app: bare grpcio server",
            "xds-server, 1,000 apps": "1000 apps, 1000 proxies (on-demand), 1000 hold the app: change to last ACK",
            "bare grpcio, 1,000 apps": "1000 apps, 1000 proxies (on-demand), 1000 hold the app: bare grpcio server",
        },
    ),
    "clusters": Chart(
        "1,000 clusters, 1,000 delta streams: change to last ACK",
        "ms",
        "clusters",
        {
            "one cluster": "1000 clusters, 1000 delta streams: one cluster changes: last ACK",
            "one build's endpoints": "1000 clusters, 1000 delta streams: one build moves: last ACK",
        },
    ),
    "sidecars": Chart(
        "A call by two Envoys: their CPU",
        "µs",
        "sidecars",
        {
            "static routes": "10 deployments, static, context in header: CPU of both Envoys a request",
            **{
                f"sidecars, {count:,} deployments": f"{count} deployments, sidecars, context in header: "
                "CPU of both Envoys a request"
                for count in (1, 10, 1000)
            },
            "the same, in baggage": "1000 deployments, sidecars, context in baggage: CPU of both Envoys a request",
        },
    ),
}


def drawn(chart: Chart, figures: Figures) -> str:
    """The Mermaid block; empty if nothing of it was measured."""
    known = figures.get(chart.bench, {})
    bars = {label: known[what]["value"] for label, what in chart.bars.items() if what in known}
    if not bars:
        return ""
    labels = ", ".join(f'"{label}"' for label in bars)
    values = ", ".join(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in bars.values())
    return "\n".join(
        [
            "```mermaid",
            "xychart-beta horizontal",
            f'    title "{chart.title}"',
            f"    x-axis [{labels}]",
            f'    y-axis "{chart.unit}" 0 --> {max(bars.values()) * 1.1:.3g}',
            f"    bar [{values}]",
            "```",
            "",
        ]
    )


def redrawn(page: str, figures: Figures) -> str:
    """The page with every chart as the figures have it."""
    for name, chart in CHARTS.items():
        page = put(page, "chart", name, drawn(chart, figures))
    return page


def main() -> None:
    figures = json.loads(FIGURES.read_text("utf-8"))
    PAGE.write_text(redrawn(PAGE.read_text("utf-8"), figures), "utf-8")
    table.PAGE.write_text(table.redrawn(table.PAGE.read_text("utf-8"), figures), "utf-8")


if __name__ == "__main__":
    main()
