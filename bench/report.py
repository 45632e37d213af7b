"""What a benchmark has found: printed with the bar beside it, and kept as JSON for the charts."""

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`bar`: what it should not be more than."""

    what: str
    value: float
    unit: str
    bar: float | None = None


def parser(description: str | None) -> argparse.ArgumentParser:
    """With the option that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="add the figures to this file")
    return made


def report(bench: str, figures: Iterable[Figure], file: Path | None) -> None:
    """Print the figures; with `file`, keep them there beside those of other benchmarks and names."""
    told = list(figures)
    for each in told:
        bar = "" if each.bar is None else f"   bar {each.bar:g}: {'met' if each.value <= each.bar else 'MISSED'}"
        print(f"{bench}: {each.what}: {each.value:,.4g} {each.unit}{bar}", flush=True)
    if file is not None:
        known = json.loads(file.read_text()) if file.exists() else {}
        known.setdefault(bench, {}).update({each.what: asdict(each) for each in told})
        file.write_text(json.dumps(known, indent=1))


def put(page: str, kind: str, name: str, block: str) -> str:
    """The page with `block` at the place of the chart, or whatever `kind` it is, of that name."""
    begin, end = f"<!-- {kind}: {name} -->\n", "<!-- end -->\n"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"the page has no place for the {kind} {name}"
    assert begin not in rest, f"the page has several places for the {kind} {name}"
    return f"{before}{begin}{block}{end}{after}"


def percentiles(
    what: str, seconds: Sequence[float], bars: tuple[float | None, float | None] = (None, None)
) -> list[Figure]:
    """The median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered), ordered[len(ordered) * 99 // 100]
    return [Figure(f"{what}, p50", p50 * 1e3, "ms", bars[0]), Figure(f"{what}, p99", p99 * 1e3, "ms", bars[1])]
