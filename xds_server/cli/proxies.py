"""`xdsctl proxies`: who is connected, and who is behind."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from xds_server.api.proxy_reports import ConnectedProxy, Fleet
from xds_server.cli.screen import console as console_of
from xds_server.cli.screen import table
from xds_server.cli.servers import Unreachable, asked
from xds_server.cli.words import ago, count

FLEET = TypeAdapter(Fleet)
HOLD = 30.0
"""Seconds that a server is asked to wait for something to happen."""
MARGIN = 10.0
REDRAWN = 0.5
"""Seconds between two pictures at least."""
COLUMNS = ("PROXY", "ROLE", "SERVES", "ENVOY", "CONNECTED", "DELIVERY", "STATE")
NO_SERVER = -1
"""The revision of a fleet of which a server that does not answer tells nothing."""


def fleet(server: str, names: Sequence[str]) -> Fleet:
    """Who is connected now."""
    return asked(server, f"/proxies?{urlencode([('name', each) for each in names])}", FLEET)


def fleets(server: str, names: Sequence[str]) -> Iterator[Fleet]:
    """Who is connected now, and whenever that is different; while the server restarts, nobody. Does not end."""
    found = fleet(server, names)
    told = None
    while True:
        if told is None or (found.proxies, found.revision < 0) != (told.proxies, told.revision < 0):
            yield found
            told = found
        time.sleep(REDRAWN)
        said = [("name", each) for each in names]
        asking = urlencode([*said, ("after", found.revision), ("timeout", HOLD)])
        try:
            found = asked(server, f"/proxies?{asking}", FLEET, patience=HOLD + MARGIN)
        except Unreachable:
            found = Fleet(revision=NO_SERVER, proxies=())


def data(found: Fleet) -> Any:
    return [each.model_dump(mode="json", by_alias=True) for each in found.proxies]


def print_fleet(found: Fleet, *, whole: bool) -> None:
    """`whole`: every type of every proxy too."""
    console = console_of()
    console.print(_table(found.proxies, header=True))
    for each in found.proxies if whole else ():
        console.print(_types(each))
    _print_count(console, found)


def print_changes(before: Fleet, after: Fleet, *, whole: bool) -> None:
    """Who is different, has come, or is gone."""
    console = console_of()
    if after.revision == NO_SERVER:
        console.print("the server does not answer; it is asked again", style="red")
        return
    known, there = set(before.proxies), {(each.id, each.since) for each in after.proxies}
    changed = [each for each in after.proxies if each not in known]
    if changed:
        console.print(_table(changed, header=False))
    for each in changed if whole else ():
        console.print(_types(each))
    for each in before.proxies:
        if (each.id, each.since) not in there:
            console.print(f"{each.id}  gone")
    _print_count(console, after)


def _table(proxies: Iterable[ConnectedProxy], *, header: bool) -> Table:
    rows = table(*COLUMNS, header=header)
    for each in proxies:
        delivery = f"{each.delivery}: {each.because}" if each.because else each.delivery
        rows.add_row(
            each.id,
            each.role,
            each.gateway or each.build,
            each.envoy or "-",
            ago(each.since),
            delivery or "-",
            _state(each),
        )
    return rows


def _print_count(console: Console, found: Fleet) -> None:
    shared = {each.id: each.streams for each in found.proxies if each.streams > 1}
    for name, streams in shared.items():
        console.print(
            f"warning: {streams} streams have the node id {name}: if they are of several Envoys, start each with a "
            "--id of its own; what is left of a broken connection ends within 40 s",
            style="yellow",
        )
    behind = sum(1 for each in found.proxies if not each.in_sync)
    ids = {each.id for each in found.proxies}
    console.print(
        f"{len(ids)} {'proxy' if len(ids) == 1 else 'proxies'}, {behind} not in sync",
        style="red" if behind else "green",
    )


def _state(proxy: ConnectedProxy) -> str:
    """In sync, or how much it is behind and what it refused last."""
    if proxy.objection:
        return f"told nothing: {proxy.objection}"
    if proxy.in_sync:
        return "in sync"
    owed = sum(each.owed for each in proxy.types)
    refused = sum(len(each.refused) for each in proxy.types)
    parts = [f"behind by {count(owed, 'resource')}" if owed else "", f"refuses {refused}" if refused else ""]
    why = f": {proxy.last_refusal.reason}" if refused and proxy.last_refusal else ""
    return ", ".join(filter(None, parts)) + why


def _types(proxy: ConnectedProxy) -> Table:
    rows = table("TYPE", "HELD", "VERSION", "OWED", "REFUSED")
    rows.title, rows.title_justify = proxy.id, "left"
    for each in proxy.types:
        rows.add_row(each.type, str(each.held), (each.version or "")[:12], str(each.owed), ", ".join(each.refused))
    return rows
