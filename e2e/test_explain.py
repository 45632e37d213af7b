"""`explain` says what a real Envoy then does.

`XDS_EXPLAIN_WORLDS` and `XDS_EXPLAIN_SEED` make the random runs longer and different. What fails is printed as a file
of `e2e/pairs`: put it there, and it is tried again with every run.
"""

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.support.envoy import EnvoyVersion
from e2e.support.explaining import Bench, bench
from e2e.support.processes import wait_until
from e2e.support.random_worlds import GATEWAYS, SERVING, Pair, Request, Requests, Worlds, placed, probe, read_pair
from e2e.support.records import Document, deployment, record
from e2e.support.server import BIN, Mode
from e2e.support.wire import HEAD_END, Reader, connected, status_of
from xds_server.traffic.edge import METHODS

pytestmark = pytest.mark.e2e

SEED = int(os.environ.get("XDS_EXPLAIN_SEED", "20261124"))
REQUESTS = 50
PAIRS = Path(__file__).parent / "pairs"


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(Mode.DELTA, EnvoyVersion.CURRENT, tmp_path_factory.mktemp("explain")) as ready:
        yield ready


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(Mode.SOTW, EnvoyVersion.FLOOR, tmp_path_factory.mktemp("explain-floor")) as ready:
        yield ready


def compare(ready: Bench, worlds: int, *, doubled: bool) -> None:
    dice = random.Random(SEED)
    made = Worlds(dice)
    first = SEED % 10_000 * 1000
    for serial in range(first, first + worlds):
        documents = made.world(serial)
        ready.put(documents)
        assert ready.errors == [], f"seed {SEED}, world {serial}"
        requests = Requests(dice, documents, doubled=doubled)
        for _ in range(REQUESTS):
            pair = Pair(documents, dice.choice(list(GATEWAYS)), requests.request())
            difference = ready.difference(pair)
            assert not difference, f"seed {SEED}, world {serial}\n{difference}\n{pair.text()}"


def test_2000_random_pairs_on_the_current_envoy(current: Bench) -> None:
    compare(current, int(os.environ.get("XDS_EXPLAIN_WORLDS", "40")), doubled=True)


def test_random_pairs_on_the_oldest_envoy(floor: Bench) -> None:
    """Without headers on several lines: a route of Envoy 1.36 joins them, a newer one asks each alone."""
    compare(floor, int(os.environ.get("XDS_EXPLAIN_WORLDS", "10")), doubled=False)


@pytest.mark.parametrize("file", sorted(PAIRS.iterdir()), ids=lambda file: file.stem)
def test_what_was_once_found(current: Bench, file: Path) -> None:
    pair = read_pair(file.read_text("utf-8"))
    current.put(pair.world)

    assert current.errors == []
    assert current.difference(pair) == ""


RULES = [
    {"pathPrefix": "/v", "query": [{"name": "v", "present": True}]},
    {"pathPrefix": "/no-v", "query": [{"name": "v", "present": False}]},
    {"path": "/lines", "headers": [{"name": "x-a", "exact": "b"}]},
    {"path": "/inverted", "headers": [{"name": "x-a", "exact": "b", "invert": True}]},
    {"path": "/one", "headers": [{"name": "x-a", "regex": "."}]},
    {"path": "/two", "headers": [{"name": "x-a", "regex": ".."}]},
    {"path": "/encoded", "query": [{"name": "q", "exact": "a%20b"}]},
]
NO_V = {"name": "no-v", "match": {"query": [{"name": "v", "present": False}]}, "deployment": "one-v2"}
A, B, ACUTE = (b"x-a", b"a"), (b"x-a", b"b"), (b"x-a", "é".encode())
CASES = {
    "the selector's parameter is there when routes are tried": ("all", b"/v?v=one-v1", [], "explicit 200"),
    "and only taken off then": ("all", b"/no-v?v=one-v1", [], "explicit 404"),
    "an audience sees a selector's parameter without a value": ("all", b"/no-v?v", [], "default 404"),
    "a gateway without selectors leaves the parameter alone": ("none", b"/v?v=one-v2", [], "default 200"),
    "one line of several is enough for a route": ("header", b"/lines?v", [A, B], "default 200"),
    "no line is": ("header", b"/lines?v", [A, A], "default 404"),
    "inverted, an absent header holds": ("header", b"/inverted?v", [], "default 200"),
    "inverted, no line may be it": ("header", b"/inverted?v", [A, B], "default 404"),
    "an expression of one character meets no character of two bytes": ("all", b"/one?v", [ACUTE], "default 404"),
    "an expression of two characters does": ("all", b"/two?v", [ACUTE], "default 200"),
    "a route's query is compared as it was sent": ("none", b"/encoded?v&q=a%20b", [], "default 200"),
    "and not as it is meant": ("none", b"/encoded?v&q=a+b", [], "default 404"),
    "an audience's is, however it was sent": ("none", b"/v?%76=1", [], "default 404"),
}
"""Gateway, target and lines of what is easily got wrong, and what must come of it."""


def shop() -> list[Document]:
    release = {"app": "one", "gateways": list(SERVING), "hosts": ["one.test"], "audiences": [NO_V]}
    release["default"] = [{"deployment": "one-v1"}]
    routed = {"web": {"build": "b1", "routes": RULES}}
    records = [deployment("one", version, routed) for version in ("v1", "v2")]
    return [*probe(0), placed("one", "web", "b1"), *records, record("Release", "one", release)]


@pytest.fixture(scope="module")
def told(current: Bench) -> Bench:
    current.put(shop())
    assert current.errors == []
    return current


@pytest.mark.parametrize("case", CASES)
def test_what_is_easily_got_wrong(told: Bench, case: str) -> None:
    gateway, target, lines, expected = CASES[case]
    pair = Pair(shop(), gateway, Request("GET", target, ((b"host", b"one.test"), *lines)))

    answer = told.answer(pair)
    assert told.difference(pair) == ""
    assert f"{answer.rule} {answer.status}" == expected


KNOWN_METHODS = frozenset(METHODS.pattern.split("|"))
OTHERS = "CONTROL CHECKIN DESCRIBE FOO Get LABEL M-SEARCH PRI QUERY UPDATE a!b get head"
"""Methods of other standards, and what is none. The application knows fewer than Envoy: what it answers is its own."""


@pytest.mark.parametrize("version", ["current", "floor"])
def test_methods_that_http1_knows(version: str, request: pytest.FixtureRequest) -> None:
    ready: Bench = request.getfixturevalue(version)
    ready.put(shop())
    for method in (*sorted(KNOWN_METHODS), *OTHERS.split()):
        asked = Request(method, b"/v?v", ((b"host", b"one.test"),))
        with connected(ready.ports["none"]) as connection:
            connection.sendall(asked.wire())
            head = Reader(connection).until(HEAD_END)
        [outcome] = ready.decision("none", asked).outcomes
        foretold_status = outcome.answer.status if outcome.answer else 200
        if b"\r\nx-served-rule: default\r\n" in head:
            assert (method in KNOWN_METHODS, foretold_status) == (True, 200), method
        else:
            assert (method in KNOWN_METHODS, foretold_status) == (False, status_of(head)), method


def explain(*words: str | Path) -> tuple[int, dict[str, object]]:
    command = [str(BIN / "xdsctl"), "explain", "-o", "json", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_running_server_says_what_it_has_in_force(told: Bench) -> None:
    asked = ["GET", "http://one.test/v?v=one-v1", "--gateway", "all"]
    server = ["--server", f"http://127.0.0.1:{told.server.admin}"]

    before = explain(told.folder.root, *asked)
    assert before[0] == 0
    assert explain(*server, *asked) == before
    told.folder.write_text("broken.yaml", yaml.safe_dump(record("Release", "one", {"app": "nobody"})))
    wait_until(lambda: told.server.metrics().get("xds_server_problems"), "the server has seen it")
    code, broken = explain(*server, *asked)
    assert (code, broken | {"problems": []}) == before
    assert "Release/default/one" in str(broken["problems"])
    told.folder.remove("broken.yaml")
