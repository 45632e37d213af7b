"""Folders of records to measure with, and the change of one of them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from bench import worlds

Document = dict[str, object]


def put(file: Path, text: str) -> float:
    """Write beside and rename; when the rename had returned."""
    beside = file.with_name(f".{file.name}")
    beside.write_text(text, "utf-8")
    beside.rename(file)
    return time.perf_counter()


def text_of(*documents: Document) -> str:
    """A round through JSON leaves no object twice, of which YAML would make anchors."""
    return yaml.dump_all(json.loads(json.dumps(documents)), Dumper=yaml.CSafeDumper)


def write_world(records: Path, apps: int, gateway: Document | None = None, upstream: int = 9001) -> None:
    """`worlds.world` as files: two for each app, of which one holds its release.

    `gateway`: its spec. `upstream`: the port of this machine on which every instance listens.
    """
    records.mkdir()
    put(records / "edge.yaml", text_of(worlds.document("Gateway", "edge", gateway or worlds.gateway())))
    app_text = text_of(*app_documents("app0"))
    for number, address in enumerate(worlds.ADDRESSES, 1):
        app_text = app_text.replace(address, f"127.0.0.{number}:{upstream}")
    release = release_text("app0", 5)
    for number in range(apps):
        app = f"app{number}"
        (records / f"{app}.yaml").write_text(app_text.replace("app0", app), "utf-8")
        (records / f"{app}-release.yaml").write_text(release.replace("app0", app), "utf-8")


def app_documents(app: str) -> Iterator[Document]:
    """Its builds and deployments."""
    builds = {
        worlds.build_hash(each, version): (each, version) for version in worlds.VERSIONS for each in worlds.COMPONENTS
    }
    for build, (component, version) in builds.items():
        yield worlds.document("Build", f"{app}-{build}", worlds.build(app, component, version))
    for version in worlds.VERSIONS:
        yield worlds.document("AppDeployment", f"{app}-v{version}", worlds.deployment(app, version))


def release_text(app: str, canary: int) -> str:
    """A release that gives v2 so many percent."""
    return text_of(worlds.document("Release", app, worlds.release(app, canary)))


def release_file(records: Path, app: str) -> Path:
    return records / f"{app}-release.yaml"
