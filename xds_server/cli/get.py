"""`xdsctl get`: tables of records, and records as they are in force."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from pydantic import TypeAdapter

from xds_server.api.inventory import Filters, Listed, ListedRecord, record_report
from xds_server.api.releases import PAGE
from xds_server.cli.screen import console, table
from xds_server.cli.servers import NoAnswer, asked
from xds_server.cli.words import ago
from xds_server.difference.inventory import items, names_of
from xds_server.domain.words import few

RECORDS = TypeAdapter(list[ListedRecord])
NOTHING = "-"


def in_force(server: str, kind: Listed, which: Filters) -> list[ListedRecord]:
    """By name. Raises `NoAnswer`."""
    found: list[ListedRecord] = []
    while True:
        after = found[-1].name if found else ""
        query = which.model_copy(update={"after": after, "limit": PAGE}).model_dump()
        page = asked(server, f"/records/{kind}?{urlencode(query)}", RECORDS)
        found += page
        if len(page) < PAGE:
            return found


def said(folder: Path, kind: Listed, which: Filters) -> list[ListedRecord]:
    """What the records of a folder say. Raises `NoAnswer`."""
    from xds_server.cli.folders import admitted  # who asks a server need not wait for what reads records

    admission = admitted(folder)
    names = names_of(admission, which.wanted(kind.kind))
    if which.name and not names:
        raise NoAnswer(f"there is no {kind.kind} {which.name!r} in {folder}")
    # How long it is in force only a server knows.
    return [record_report(each._replace(accepted=None)) for each in items(admission, kind.kind, names)]


def documents(found: Iterable[ListedRecord]) -> list[Mapping[str, Any]]:
    return [each.record for each in found if each.record]


class Readable(yaml.SafeDumper):
    """What looks like a number to some reader of YAML is quoted."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if text[:1].isdigit() or text[:1] in ("+", "-", ".") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Readable.add_representer(str, _text)


def in_yaml(found: Iterable[Mapping[str, Any]]) -> str:
    """As a file of records says them."""
    style: dict[str, Any] = {"sort_keys": False, "width": 120, "allow_unicode": True}
    return "---\n".join(yaml.dump(each, Dumper=Readable, **style) for each in found)


Column = tuple[str, Callable[[ListedRecord], str]]
NAME: Column = ("NAME", lambda each: each.name)
APP: Column = ("APP", lambda each: each.app)
AGE: Column = ("AGE", lambda each: NOTHING if each.accepted is None else ago(each.accepted))
STATUS: Column = ("STATUS", lambda each: each.status)
USED_BY: Column = ("USED BY", lambda each: few(each.used_by, 3) or NOTHING)
BECAUSE: Column = ("BECAUSE", lambda each: each.because or NOTHING)


def _hosts(each: ListedRecord) -> str:
    spec = each.record["spec"]
    hosts = [*spec.get("hosts", ()), *(host for said in spec.get("audiences", ()) for host in said.get("hosts", ()))]
    return few(hosts, 2)


def _default(each: ListedRecord) -> str:
    shares = each.record["spec"].get("default", ())
    return ", ".join(f"{said['deployment']} {said.get('weight', 100):.9g}%" for said in shares) or NOTHING


def _endpoints(each: ListedRecord) -> str:
    endpoints = each.record["spec"]["endpoints"]
    return str(endpoints.get("dns") or len(endpoints["addresses"]))


def _components(each: ListedRecord) -> str:
    return ", ".join(f"{name}@{said['build']}" for name, said in sorted(each.record["spec"]["components"].items()))


def _listeners(each: ListedRecord) -> str:
    return ", ".join(f"{said['name']}:{said['port']}" for said in each.record["spec"]["listeners"])


def _spec(name: str, otherwise: str = NOTHING) -> Callable[[ListedRecord], str]:
    return lambda each: str(each.record["spec"].get(name, otherwise))


def _holds(what: str) -> Column:
    return what.upper(), lambda each: str(each.holds[what])


COLUMNS: dict[Listed, tuple[tuple[Column, ...], tuple[Column, ...]]] = {
    Listed.RELEASES: (
        (
            *(NAME, APP, ("GATEWAYS", lambda each: few(each.record["spec"]["gateways"], 3)), ("HOSTS", _hosts)),
            *(("DEFAULT", _default), STATUS, ("LIVE", lambda each: each.live or NOTHING), AGE),
        ),
        (("PROXIES", lambda each: each.ledger or NOTHING), BECAUSE),
    ),
    Listed.DEPLOYMENTS: (
        (NAME, APP, ("VERSION", _spec("version")), USED_BY, STATUS, AGE),
        (("BUILDS", _components), BECAUSE),
    ),
    Listed.BUILDS: (
        (
            *(NAME, APP, ("COMPONENT", _spec("component")), ("BUILD", _spec("build"))),
            *(("ENDPOINTS", _endpoints), USED_BY, STATUS, AGE),
        ),
        (("PROTOCOL", _spec("protocol", "http1")), BECAUSE),
    ),
    Listed.GATEWAYS: ((NAME, ("LISTENERS", _listeners), ("RELEASES", USED_BY[1]), AGE), ()),
    Listed.APPS: ((NAME, *map(_holds, ("releases", "deployments", "builds")), AGE), ()),
}
"""What is always shown, and what only where it is asked for."""


def print_table(kind: Listed, found: Iterable[ListedRecord], *, wide: bool) -> None:
    columns, more = COLUMNS[kind]
    shown = (*columns, *more) if wide else columns
    rows = table(*(name for name, _ in shown))
    for each in found:
        rows.add_row(*(value(each) for _, value in shown))
    console().print(rows)
