"""Records as an operator would write them, in a folder that is changed by renames."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

API_VERSION = "xds-server.dev/v1alpha1"
Document = dict[str, Any]
Json = Mapping[str, Any]

_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Folder:
    """The records directory. Every change is one `rename()`, and tells the instant at which that returned."""

    root: Path

    def write(self, name: str, *documents: Document) -> float:
        return self.write_text(name, yaml.safe_dump_all(documents, sort_keys=False))

    def write_text(self, name: str, text: str) -> float:
        draft = self.root / f".{name}.{next(_serial)}"
        draft.write_text(text)
        draft.rename(self.root / name)
        return time.monotonic()

    def remove(self, name: str) -> float:
        (self.root / name).unlink()
        return time.monotonic()


def record(kind: str, name: str, spec: Json) -> Document:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def file_of(document: Document) -> str:
    """One record a file: `release-shop.yaml`."""
    return f"{document['kind'].lower()}-{document['metadata']['name']}.yaml"


def gateway(name: str, port: int, **spec: Any) -> Document:
    """A gateway on one port, where a deployment can be named by host, header and query, and answers reveal it.

    It keeps no access log: the last words of its Envoy are to be those on what went wrong.
    """
    explicit = {
        "host": "{deployment}.preview.example.com",
        "header": "x-explicit-deployment",
        "query": "explicit-deployment",
    }
    usual = {
        "listeners": [{"name": "http", "address": "127.0.0.1", "port": port}],
        "explicit": explicit,
        "reveal": {"deployment": True, "rule": True},
        "accessLog": {"stdout": False},
    }
    return record("Gateway", name, usual | spec)


@dataclass(frozen=True, slots=True)
class Build:
    """A component of an app at one content hash."""

    app: str
    component: str
    hash: str

    @property
    def identity(self) -> str:
        """What Envoy calls its endpoints, and what its upstream calls itself."""
        return f"{self.app}/{self.component}@{self.hash}"

    def record(self, addresses: Sequence[Any], protocol: str = "http1", **more: Any) -> Document:
        spec = {
            "app": self.app,
            "component": self.component,
            "build": self.hash,
            "protocol": str(protocol),
            "endpoints": {"addresses": list(addresses)},
            **more,
        }
        return record("Build", f"{self.app}-{self.component}-{self.hash}", spec)


def deployment(app: str, version: str, components: Mapping[str, Json]) -> Document:
    return record("AppDeployment", f"{app}-{version}", {"app": app, "version": version, "components": dict(components)})


def release(app: str, default: Mapping[str, float], **spec: Any) -> Document:
    """The release of an app on `<app>.example.com`; `default` maps deployments to weights."""
    shares = [{"deployment": name, "weight": weight} for name, weight in default.items()]
    usual = {"app": app, "gateways": ["edge"], "hosts": [f"{app}.example.com"], "default": shares}
    return record("Release", app, usual | spec)
