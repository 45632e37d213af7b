"""`xdsctl rollback`, `unpin` and `history`: what a person says about a release, and what was said before."""

import getpass
import json
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from pydantic import TypeAdapter

from xds_server.api.steering import EventReport
from xds_server.cli.servers import asked

EVENT = TypeAdapter(EventReport)
EVENTS = TypeAdapter(list[EventReport])


def who() -> str:
    """Who a command is run by, as a server shall remember it."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def rolled_back(server: str, release: str, said: Mapping[str, str]) -> EventReport:
    return asked(server, f"/releases/{quote(release)}/rollback", EVENT, json.dumps(said).encode())


def unpinned(server: str, release: str, said: Mapping[str, str], *, only_say: bool) -> EventReport:
    path = f"/releases/{quote(release)}/unpin{'?onlySay=true' if only_say else ''}"
    return asked(server, path, EVENT, json.dumps(said).encode())


def history(server: str, release: str) -> list[EventReport]:
    return asked(server, f"/releases/{quote(release)}/history", EVENTS)


def lines(found: list[EventReport]) -> Iterator[str]:
    """A line each: when, who, what, why."""
    for each in found:
        why = f": {each.why}" if each.why else ""
        yield f"{each.at:%Y-%m-%d %H:%M:%SZ}  {each.who}  {each.what}{why}"
