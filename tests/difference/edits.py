"""A shop, and what an edit of its records makes different."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.records.folder import SHOP, Content, Server, build, deployment, documents, gateway, release
from xds_server.difference.comparison import Difference, Served, difference, served

EXPLICIT = gateway(template=".preview.test")
BUILDS = documents(*(build(f"web-{number}", f"b{number}") for number in (1, 2, 3)))
FILES = {**SHOP, "edge.yaml": EXPLICIT, "builds.yaml": BUILDS, "v3.yaml": deployment("v3", "b3")}


def state(files: Mapping[str, Content]) -> Served:
    return served(Server(files).admission)


def edited(edits: Mapping[str, Content], files: Mapping[str, Content] | None = None) -> Difference:
    """Files in place of those of the shop; None: gone."""
    server = Server(FILES if files is None else files)
    before = served(server.admission)
    server.now += timedelta(seconds=1)
    server.hears(edits)
    return difference(before, served(server.admission, before))


def shop(**spec: Any) -> str:
    return release("shop", "shop.test", **spec)


def shares(**percents: float) -> list[dict[str, object]]:
    return [{"deployment": name, "weight": weight} for name, weight in percents.items()]


def header(name: str, deployment: str, value: str = "1", **audience: object) -> dict[str, object]:
    """An audience by header `x-<name>`."""
    match = {"headers": [{"name": f"x-{name}", "exact": value}]}
    return {"name": name, "match": match, "deployment": deployment, **audience}
