"""Folders of records to measure with, and the change of one of them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from bench import worlds

Document = dict[str, object]


def replace_file(file: Path, documents: list[Document]) -> float:
    """Write beside and rename; when the rename had returned."""
    beside = file.with_name(f".{file.name}")
    beside.write_text(_text(documents), "utf-8")
    beside.rename(file)
    return time.perf_counter()


def _text(documents: list[Document]) -> str:
    """A round through JSON leaves no object twice, of which YAML would make anchors."""
    return yaml.dump_all(json.loads(json.dumps(documents)), Dumper=yaml.CSafeDumper)


def write_world(records: Path, apps: int, port: int = 10_000) -> None:
    """`worlds.world` as files: two for each app, of which one holds its release."""
    records.mkdir()
    replace_file(records / "edge.yaml", [worlds.document("Gateway", "edge", worlds.gateway(port))])
    app_text, release_text = _text(list(app_documents("app0"))), _text([_release("app0", 5)])
    for number in range(apps):
        app = f"app{number}"
        (records / f"{app}.yaml").write_text(app_text.replace("app0", app), "utf-8")
        (records / f"{app}-release.yaml").write_text(release_text.replace("app0", app), "utf-8")


def app_documents(app: str) -> Iterator[Document]:
    """Its builds and deployments."""
    builds = {
        worlds.build_hash(each, version): (each, version) for version in worlds.VERSIONS for each in worlds.COMPONENTS
    }
    for build, (component, version) in builds.items():
        yield worlds.document("Build", f"{app}-{build}", worlds.build(app, component, version))
    for version in worlds.VERSIONS:
        yield worlds.document("AppDeployment", f"{app}-v{version}", worlds.deployment(app, version))


def write_release(records: Path, app: str, canary: int) -> float:
    """Give v2 so many percent; when that was in the folder."""
    return replace_file(records / f"{app}-release.yaml", [_release(app, canary)])


def _release(app: str, canary: int) -> Document:
    return worlds.document("Release", app, worlds.release(app, canary))
