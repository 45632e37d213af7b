"""Requests of all versions at once, on the same connections, while releases change: no hop is of another version."""

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.support.envoy import EnvoyVersion
from e2e.support.mesh import HOST, V1, V2, V3, Mesh, hops, mesh
from e2e.support.processes import Child, wait_until
from e2e.support.server import Mode

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

VERSIONS = {"order-v1": V1, "order-v2": V2, "order-v3": V3}
COUNT = 2000
CONNECTIONS = 100


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for; no deployment is the default."""

    deployment: str | None
    chain: tuple[str, ...]

    @property
    def path(self) -> str:
        """`ui` is at the root."""
        return f"/{'/'.join(self.chain).removeprefix('ui/')}"

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [("x-explicit-deployment", self.deployment)] if self.deployment else []

    def expected(self, served: str) -> list[tuple[str, str]]:
        return [(f"{each}@{VERSIONS[served][each]}", served) for each in self.chain]


CHAINS = (("ui", "api", "worker"), ("worker", "api"))
ASKS = (
    *(Ask(name, chain) for name in (None, *VERSIONS) for chain in CHAINS),
    Ask(None, ("worker", "api", "ui", "api")),
    Ask("order-v3", ("ui", "api", "review")),
)


@pytest.fixture(scope="module")
def order(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    mode, version = pair
    with mesh(mode, version, tmp_path_factory.mktemp("mesh")) as ready:
        for name, components in VERSIONS.items():
            ready.deploy(name, components)
        ready.release(order_v1=100)
        for name in VERSIONS:
            ready.serves(name)
        yield ready


def test_every_hop_is_of_the_requests_own_version_while_releases_flip(order: Mesh, tmp_path: Path) -> None:
    before = connections(order)
    answers = asked_while_releases_flip(order, tmp_path)

    assert len(answers) == COUNT
    assert [each for each in answers if lost(each)] == [], "0 lost"
    found = [(ASKS[each["ask"]], each["served"], json.loads(each["body"])) for each in answers]
    assert [(ask, served) for ask, served, _ in found if ask.deployment not in {None, served}] == []
    assert [(served, said) for ask, served, said in found if hops(said) != ask.expected(served)] == [], "0 mixed"
    assert [(served, said) for _, served, said in found if carried(said) != {f"xds.deployment={served}"}] == []
    assert {served for ask, served, _ in found if ask.deployment is None} == {"order-v1", "order-v3"}
    assert 0 < connections(order) - before <= CONNECTIONS, "they were kept"


def asked_while_releases_flip(order: Mesh, directory: Path) -> list[dict[str, Any]]:
    results = directory / "answers.jsonl"
    said = {
        "port": order.port,
        "host": HOST,
        "asks": [(each.path, each.headers) for each in ASKS],
        "count": COUNT,
        "connections": CONNECTIONS,
        "results": str(results),
    }
    command = [sys.executable, "-m", "e2e.support.mesh_load_process"]
    with Child("requests", command, directory, talks=True) as requests:
        requests.say(json.dumps(said))
        releases = itertools.cycle(("order-v3", "order-v1"))
        while requests.alive:
            flip(order, next(releases))
        assert requests.ended() == 0, requests.last_words()
    return [json.loads(line) for line in results.read_text().splitlines()]


def flip(order: Mesh, deployment: str) -> None:
    order.release(**{deployment.replace("-", "_"): 100})
    wait_until(lambda: order.get("/").served == deployment, f"{deployment} is released")


def lost(answer: Mapping[str, Any]) -> bool:
    """It, or a call that was made for it."""
    if answer["status"] != 200:
        return True
    said = json.loads(answer["body"])
    while "then" in said:
        if said["status"] != 200:
            return True
        said = said["then"]
    return False


def connections(order: Mesh) -> int:
    """How many the gateway has had; those of its admin interface are not among them."""
    return order.gateway.total(r"^http[.]edge.*[.]downstream_cx_total$")


def carried(said: Any) -> set[str]:
    """The baggage of all hops."""
    found = set()
    while said is not None:
        found.add(",".join(said["told"]["baggage"]))
        said = said.get("then")
    return found
