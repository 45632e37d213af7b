"""`xdsctl top` and `xdsctl compare`: what becomes of requests."""

from typing import Any
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table

from xds_server.api.traffic import NAMED, Between, CompareReport, LeftOutReport, ShareReport, SideReport, TrafficReport
from xds_server.cli import screen
from xds_server.cli.servers import asked

TRAFFIC = TypeAdapter(list[TrafficReport])
COMPARE = TypeAdapter(CompareReport)
NO_BOUND = "-"
NAMES = ("APP", "DEPLOYMENT", "COMPONENT", "RULE")


def traffic(server: str, app: str, seconds: float) -> list[TrafficReport]:
    return asked(server, f"/traffic?{urlencode({'app': app, 'last': seconds})}", TRAFFIC)


def compare(server: str, release: str, deployments: tuple[str, str] | None, seconds: float) -> CompareReport:
    first, second = deployments or ("", "")
    query = urlencode({"first": first, "second": second, "last": seconds})
    return asked(server, f"/releases/{quote(release)}/compare?{query}", COMPARE)


def data(found: list[TrafficReport] | CompareReport) -> Any:
    if isinstance(found, CompareReport):
        return found.model_dump(mode="json", by_alias=True)
    return [each.model_dump(mode="json", by_alias=True) for each in found]


def show_traffic(server: str, app: str, seconds: float) -> None:
    """Drawn anew until it is interrupted; where nobody looks, printed once."""
    screen.show(lambda: traffic(server, app, seconds), lambda found: _traffic(found, app, seconds))


def _traffic(found: list[TrafficReport], app: str, seconds: float) -> RenderableType:
    table = _table("APP", "DEPLOYMENT", "COMPONENT", "RULE", "REQ/S", "ERRORS", "P50", "P90", "P99")
    for each in found:
        words = (each.app, each.deployment, each.component, each.rule, f"{each.per_second:.1f}", _percent(each.errors))
        table.add_row(*words, *map(_span, (each.p50, each.p90, each.p99)))
    if not found:
        return Group(table, f"no request{f' of {app}' if app else ''} in the last {_time(seconds)}")
    return table


def print_compared(found: CompareReport) -> None:
    console = screen.console()
    console.print(f"{found.release}: {found.second} beside {found.first}, in the last {_time(found.seconds)}")
    table = _table("COMPONENT", "RULE", "DEPLOYMENT", "REQUESTS", "ERRORS", "P50", "P90", "P99", "ERRORS x", "SLOW x")
    for row in found.rows:
        table.add_row(row.component, row.rule, found.first, *_side(row.first), "", "")
        ratios = (_ratio(row.errors_ratio), f"{_ratio(row.slow_ratio)} (> {row.slower_than:g} ms)")
        table.add_row("", "", found.second, *_side(row.second), *ratios)
    console.print(table)
    for share in found.shares:
        console.print(_share(share, sticky=found.sticky), style="yellow" if share.unlikely else None)
    for each in found.left_out:
        console.print(_left_out(each))
    if not found.rows:
        console.print(f"neither had {'any other' if found.left_out else 'a'} request of which the server was told")


def _side(side: SideReport) -> tuple[str, ...]:
    errors = "not known" if side.errors is None else f"{side.errors:,}"
    part = "" if side.errors is None or not side.requests else f" ({_percent(side.errors / side.requests)})"
    return (f"{side.requests:,}", errors + part, *map(_span, (side.p50, side.p90, side.p99)))


def _share(share: ShareReport, *, sticky: bool) -> str:
    had = f"{_requests(share.requests)}, {_percent(share.actual)}"
    said = f"share of {share.deployment}: {had}, set {_percent(share.set)}"
    if share.unlikely:
        return f"warning: {said}: by chance this happens in one of {1 / max(share.probability, 1e-9):,.0f} cases"
    return f"{said} (of users: some ask for more than others)" if sticky else said


def _left_out(each: LeftOutReport) -> str:
    flushes = "1 flush" if each.flushes == 1 else f"{each.flushes:,} flushes"
    proxies = ", ".join(each.proxies) + (", ..." if NAMED == len(each.proxies) < each.flushes else "")
    return f"not compared: {_requests(each.requests)} in {flushes} of {proxies}, the first since the {each.because}"


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number:,} requests"


def _span(between: Between) -> str:
    """`200-250 ms`."""
    if between.most is None:
        return f"> {between.least:g} ms"
    return f"{between.least:g}-{between.most:g} ms" if between.most else NO_BOUND


def _ratio(between: Between) -> str:
    most = NO_BOUND if between.most is None else f"{between.most:.3g}"
    least = f"{between.least:.3g}" if between.least else NO_BOUND
    return "not known" if (least, most) == (NO_BOUND, NO_BOUND) else f"{least} to {most}"


def _percent(part: float) -> str:
    return f"{part * 100:.2f} %"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _table(*columns: str) -> Table:
    return screen.table(*columns, right=[each for each in columns if each not in NAMES])
