"""`xdsctl gc`: deployments that nothing uses any more."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from pydantic import TypeAdapter

from xds_server.api.unused_reports import Removed, UnusedReport
from xds_server.cli.screen import console, table
from xds_server.cli.servers import asked
from xds_server.cli.words import ago

UNUSED = TypeAdapter(list[UnusedReport])
REMOVED = TypeAdapter(Removed)


def unused(server: str, older_than: float, app: str) -> list[UnusedReport]:
    return asked(server, f"/unused?{urlencode({'olderThan': older_than, 'app': app})}", UNUSED)


def removed(server: str, found: Sequence[UnusedReport], who: str, why: str) -> Removed:
    said = {"who": who, "why": why, "deployments": [each.deployment for each in found]}
    return asked(server, "/unused/remove", REMOVED, json.dumps(said).encode())


def data(found: Sequence[UnusedReport]) -> Any:
    return [each.model_dump(mode="json", by_alias=True) for each in found]


def print_unused(found: Sequence[UnusedReport]) -> None:
    rows = table("DEPLOYMENT", "APP", "AGE", "REQUESTS IN 1H", "FILE", "LEAVES WITH IT")
    for each in found:
        builds = ", ".join(each.builds) or "nothing: others have its builds"
        rows.add_row(each.deployment, each.app, ago(each.accepted), f"{each.requests:,}", each.file, builds)
    screen = console()
    screen.print("no release gives these or asks for them, and none can go back to them:")
    screen.print(rows)
