"""A folder of records as tests write it, and a server's memory of it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from xds_server.domain.problems import Problem, Severity
from xds_server.records.admission import admit, restore, tick, unreadable
from xds_server.records.admitted import Admission
from xds_server.records.models import API_VERSION
from xds_server.records.reading import Batch, Readable, Unreadable
from xds_server.records.saved import Row

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROUTES = [{"pathPrefix": "/"}]

Content = str | Unreadable | None


def record(kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> str:
    """A document; JSON is YAML."""
    said = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    return json.dumps(said) + "\n"


def gateway(name: str = "edge", template: str = "", **metadata: Any) -> str:
    explicit = {"explicit": {"host": "{deployment}" + template}} if template else {}
    return record("Gateway", name, {"listeners": [{"name": "http", "port": 8080}], **explicit}, **metadata)


def build(name: str, build: str = "b1", *addresses: str, **spec: Any) -> str:
    placed = {"addresses": list(addresses or ("10.0.0.1:8080",))}
    return record("Build", name, {"app": "shop", "component": "web", "build": build, "endpoints": placed, **spec})


def deployment(name: str, build: str = "b1", **spec: Any) -> str:
    said = {"app": "shop", "version": name, "components": {"web": {"build": build, "routes": ROUTES}}, **spec}
    return record("AppDeployment", name, {key: value for key, value in said.items() if value is not None})


def release(name: str, *hosts: str, to: str = "v1", metadata: Mapping[str, Any] | None = None, **spec: Any) -> str:
    said = {"app": "shop", "gateways": ["edge"], "hosts": list(hosts), "default": [{"deployment": to}], **spec}
    return record("Release", name, said, **(metadata or {}))


def documents(*texts: str) -> str:
    return "---\n".join(texts)


SHOP = {
    "edge.yaml": gateway(),
    "builds.yaml": documents(build("web-1", "b1"), build("web-2", "b2")),
    "v1.yaml": deployment("v1", "b1"),
    "v2.yaml": deployment("v2", "b2"),
    "shop.yaml": release("shop", "shop.test"),
}
"""A shop in two versions, the first of which is released."""


def shop_in(parent: Path) -> Path:
    """The folder of a shop, written."""
    folder = parent / "records"
    folder.mkdir()
    for name, text in SHOP.items():
        (folder / name).write_text(text, "utf-8")
    return folder


class Server:
    """What is in force, turn by turn, and the rows that its state directory holds."""

    def __init__(self, files: Mapping[str, Content] | None = None, *, allow_empty: bool = False) -> None:
        self.admission = Admission()
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.now = NOON
        self.allow_empty = allow_empty
        if files is not None:
            self.reads(files)

    def reads(self, files: Mapping[str, Content]) -> None:
        """All files there are."""
        self._admit(files, complete=True)

    def hears(self, files: Mapping[str, Content]) -> None:
        """Files that changed; None: gone."""
        self._admit(files, complete=False)

    def _admit(self, files: Mapping[str, Content], *, complete: bool) -> None:
        said = {name: Readable(each) if isinstance(each, str) else each for name, each in files.items()}
        self._turn(
            admit(self.admission, Batch(said, complete), self.now, folder="records", allow_empty=self.allow_empty)
        )

    def cannot_read(self, why: str) -> None:
        self._turn(unreadable(self.admission, "records", why))

    def waits(self, time: timedelta) -> None:
        self.now += time
        self._turn(tick(self.admission, self.now))

    def _turn(self, after: Admission) -> None:
        self.admission = after
        for who in after.forgotten:
            del self.rows[who]
        self.rows |= {(row.kind, row.namespace, row.name): row for row in after.rows}

    def restarts(self) -> None:
        self.admission = restore(self.rows.values(), self.now)

    @property
    def serves(self) -> dict[str, Any]:
        """What is in force: `kind/namespace/name` to its spec."""
        return {str(key): json.loads(entry.content)["spec"] for key, entry in self.admission.in_force.items()}

    @property
    def hosts(self) -> dict[str, str]:
        """Which release has which host."""
        return {claim.host: ref.word for claim, ref in self.admission.claims.items()}

    @property
    def errors(self) -> list[Problem]:
        return [each for each in self.admission.problems if each.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Problem]:
        return [each for each in self.admission.problems if each.severity is Severity.WARNING]

    @property
    def said(self) -> str:
        """Every problem as it is printed."""
        return "".join(f"{problem}\n" for problem in self.admission.problems)
