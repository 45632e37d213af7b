"""The fleet order as rows of the state directory: what is under way, and which proxies there are to wait for."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from math import inf
from typing import NamedTuple

from immutables import Map

from xds_server.domain.names import Ref, ref
from xds_server.fleet_order import Phase, Progress, Unfinished
from xds_server.protocol.events import Node
from xds_server.records.documents import Key, record_text, restored
from xds_server.records.models import App, AppDeployment, Build, Release
from xds_server.records.saved import PROXY, UNFINISHED, Row
from xds_server.records.world import AppWorld, expired_at

RowKey = tuple[str, str, str]
"""A row's kind, namespace and name."""
Piece = Progress | Build | Release
"""What has a row of its own."""


class Moment(NamedTuple):
    """Now, by the clock that the order goes by and by the one that goes on while the server does not run."""

    now: float
    at: datetime


class Saved:
    """What of each app has rows. A row is written when its piece is another object."""

    def __init__(self) -> None:
        self._pieces: dict[Ref, dict[RowKey, Piece | None]] = {}

    def recall(self, rows: Iterable[Row]) -> None:
        """These are there, whatever is made of them."""
        for row in rows:
            if row.kind == UNFINISHED:
                app = ref(row.namespace.partition(" ")[2])
                self._pieces.setdefault(app, {})[row[:3]] = None

    def news(self, app: Ref, unfinished: Unfinished, moment: Moment) -> tuple[list[Row], list[RowKey]]:
        """The rows that are others than before, and those that are gone."""
        before, after = self._pieces.pop(app, {}), dict(_pieces(app, unfinished))
        if after:
            self._pieces[app] = {**after}
        rows = [_row(key, piece, moment) for key, piece in after.items() if before.get(key) is not piece]
        return rows, [key for key in before if key not in after]


def _pieces(app: Ref, unfinished: Unfinished) -> Iterator[tuple[RowKey, Piece]]:
    """A space is in no app's name."""
    for name, step in unfinished.steps.items():
        yield (UNFINISHED, f"step {app.word}", name.word), step
    for name, build in unfinished.builds.items():
        yield (UNFINISHED, f"build {app.word}", name.word), build
    for name, release in unfinished.releases.items():
        yield (UNFINISHED, f"release {app.word}", name.word), release


def _row(key: RowKey, piece: Piece, moment: Moment) -> Row:
    text = _step(piece, moment.now) if isinstance(piece, Progress) else record_text(piece)
    return Row(*key, text, moment.at)


def unfinished_in(rows: Iterable[Row], moment: Moment) -> Mapping[Ref, Unfinished]:
    """By app. What today's rules refuse is left out."""
    found: defaultdict[Ref, _Found] = defaultdict(lambda: _Found({}, {}, {}))
    for row in rows:
        if row.kind == UNFINISHED:
            what, _, app = row.namespace.partition(" ")
            _put(found[ref(app)], what, row, moment)
    return {app: Unfinished(*each, _expired(app, each.releases, moment.at)) for app, each in found.items()}


def proxy_key(node: Node) -> RowKey:
    return PROXY, node.cluster, node.id


def proxy_row(node: Node, at: datetime) -> Row:
    return Row(*proxy_key(node), node.build, at)


def proxies_in(rows: Iterable[Row]) -> list[Node]:
    return [_node(row.namespace, row.name, row.document) for row in rows if row.kind == PROXY]


def _node(cluster: str, name: str, build: str) -> Node:
    return Node(name, cluster, "sidecar" if build else "gateway", build)


class _Found(NamedTuple):
    steps: dict[Ref, Progress]
    builds: dict[Ref, Build]
    releases: dict[Ref, Release]


def _step(step: Progress, now: float) -> str:
    left = {"left": step.until - now} if step.until < inf else {}
    others = {"settings": step.settings, "former": step.former}
    said = {name: record_text(each) for name, each in others.items() if each is not None}
    return json.dumps({"phase": step.phase, "record": record_text(step.record), **left, **said}, ensure_ascii=False)


def _put(found: _Found, what: str, row: Row, moment: Moment) -> None:
    name = ref(row.name)
    if what == "step":
        step = _progress(name, row, moment)
        if step is not None:
            found.steps[name] = step
        return
    record = restored(Key(what.capitalize(), name), row.document)
    if isinstance(record, Build):
        found.builds[name] = record
    elif isinstance(record, Release):
        found.releases[name] = record


def _progress(name: Ref, row: Row, moment: Moment) -> Progress | None:
    said = json.loads(row.document)
    record, former = (restored(Key("AppDeployment", name), said.get(each, "")) for each in ("record", "former"))
    settings = restored(Key("App", name), said.get("settings", ""))
    if not isinstance(record, AppDeployment) or said["phase"] not in set(Phase):  # a newer server may know more phases
        return None
    return Progress(
        Phase(said["phase"]),
        record,
        _until(said.get("left", inf), row, moment),
        settings if isinstance(settings, App) else None,
        former if isinstance(former, AppDeployment) else None,
    )


def _until(left: float, row: Row, moment: Moment) -> float:
    """A clock that was set while the server did not run makes it neither longer nor negative."""
    passed = (moment.at - row.first_accepted).total_seconds()
    return moment.now + min(max(left - passed, 0.0), left)


def _expired(app: Ref, releases: Mapping[Ref, Release], at: datetime) -> frozenset[tuple[Ref, str]]:
    return expired_at(AppWorld(app, releases=Map(releases)), at)[0].expired
