"""Canaries on one gateway: a real server, a real Envoy, and users of each, who are drawn by weight."""

import asyncio
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from bench import worlds
from bench.folders import Document, put, release_file, text_of
from bench.users import Users
from e2e.support.client import Client
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import Child, free_ports, wait_until
from e2e.support.server import Mode, Server
from xds_server.records.progress import Ended
from xds_server.stats import Counts

SEED = 7
MAX_RATIO = 1.5
SHARE = 50
ROLLOUT = {
    "steps": [{"to": SHARE, "need": "safe"}, {"to": 100}],
    "guard": {"errors": {"maxRatio": MAX_RATIO}},
}
"""All else is as in a record that does not say it."""
BEFORE = 10.0
"""Seconds of stable alone, before the rollout."""
AFTER = 5.0
"""Seconds for which users ask on when the rollout has ended."""
LOOKED = 0.25
LIMIT = 60.0
FEW = 2 / 60
"""Requests a second of the app that has hardly any."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`stable`, `canary`: what part of their requests they fail. `ends`: how its rollout should."""

    title: str
    app: str
    stable: float
    canary: float
    ends: Ended | None


ALIKE = Kind("0.5 % of errors at both", "alike", 0.005, 0.005, Ended.FINISHED)
WORSE = Kind("1 % of errors at stable, 2 % at the canary", "worse", 0.01, 0.02, Ended.ROLLED_BACK)
CLEAN = Kind("no errors at all", "clean", 0.0, 0.0, Ended.FINISHED)
QUIET = Kind("2 requests a minute", "quiet", 0.0, 0.0, None)
KINDS = (ALIKE, WORSE, CLEAN)
"""Those first that take longest."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What has become of one canary. `ended` None: nothing yet. `seconds`: from its step to its end.

    `strays`: answers of the deployment that has lost everything, from a second after that on.
    """

    ended: str | None
    seconds: float
    counted: Counts
    users: Users
    strays: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """A server and an Envoy, with users before it. `until`: when what has not ended has not ended."""

    records: Path
    port: int
    api: httpx.AsyncClient
    rate: float
    until: float
    slots: asyncio.Semaphore
    seen: dict[Kind, list[Seen]] = field(default_factory=dict)

    async def run(self, kind: Kind, number: int) -> None:
        """When it is its turn, if there is time left."""
        async with self.slots:
            if self._left > BEFORE:
                users = Users(self.port, f"{kind.app}{number}.example.com", self.rate)
                self.seen.setdefault(kind, []).append(await self._rolled_out(f"{kind.app}{number}", users))

    async def quiet(self, others: asyncio.Event) -> tuple[Any, Users]:
        """As long as others run: what its rollout says then."""
        app, stop = f"{QUIET.app}0", asyncio.Event()
        users = Users(self.port, f"{app}.example.com", FEW)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(users.ask(stop))
            self._release(app)
            await others.wait()
            stop.set()
        return await self._said(f"/releases/{app}/rollout"), users

    async def _rolled_out(self, app: str, users: Users) -> Seen:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(users.ask(stop))
            await asyncio.sleep(BEFORE)
            self._release(app)
            said = await self._ended(app)
            await asyncio.sleep(1)
            loser = f"{app}-v{1 if said['ended'] == Ended.FINISHED else 2}"
            before = users.answered[loser]
            await asyncio.sleep(AFTER)
            strays = users.answered[loser] - before if said["ended"] else 0
            stop.set()
        seconds, counted = await self._decided(app) if said["ended"] else (said["stayed"], Counts())
        print(f"{app}: {said['ended'] or 'goes on'} after {seconds:.0f} s: {said['because']}", flush=True)
        return Seen(said["ended"], seconds, counted, users, strays)

    async def _ended(self, app: str) -> Any:
        """What its rollout says when it has ended, or when time is up."""
        while True:
            found = await self._said(f"/releases/{app}/rollout")
            if found is not None and (found["ended"] is not None or self._left <= 0):
                return found
            await asyncio.sleep(LOOKED)

    async def _decided(self, app: str) -> tuple[float, Counts]:
        """How long after its step it was decided, and by which requests of the canary."""
        events = await self._said(f"/releases/{app}/history")
        [started] = [each for each in events if each["kind"] == "started"]
        [ended] = [each for each in events if each["kind"] in ("finished", "rolled-back")]
        numbers = [ended["numbers"][f"default.errors.canary.{each}"] for each in ("requests", "bad")]
        between = datetime.fromisoformat(ended["at"]) - datetime.fromisoformat(started["at"])
        return between.total_seconds(), Counts(*map(int, numbers))

    def _release(self, app: str) -> None:
        put(release_file(self.records, app), text_of(_release(app, rollout=ROLLOUT)))

    async def _said(self, path: str) -> Any:
        answer = await self.api.get(path)
        answer.raise_for_status()
        return answer.json()

    @property
    def _left(self) -> float:
        return self.until - asyncio.get_running_loop().time()


async def measured(asked: Namespace) -> tuple[dict[Kind, list[Seen]], tuple[Any, Users]]:
    apps = {f"{kind.app}{number}": kind for kind in KINDS for number in range(asked.apps)} | {f"{QUIET.app}0": QUIET}
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = stack.enter_context(_instances(home))
        server, port = stack.enter_context(_edge(home, apps, ports))
        url = f"http://127.0.0.1:{server.admin}"
        api = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=LIMIT))
        await asyncio.to_thread(_wait_served, port, apps)
        until = asyncio.get_running_loop().time() + 60 * asked.minutes
        slots = asyncio.Semaphore(asked.at_once)
        edge = Edge(home / "records", port, api, asked.rate, until, slots)
        others = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            quiet = tasks.create_task(edge.quiet(others))
            async with asyncio.TaskGroup() as running:
                for app, kind in apps.items():
                    if kind is not QUIET:
                        running.create_task(edge.run(kind, int(app.removeprefix(kind.app))))
            others.set()
        return edge.seen, quiet.result()


@contextmanager
def _instances(home: Path) -> Iterator[dict[float, int]]:
    """The port of those that fail this part of their requests, by that."""
    parts = sorted({part for kind in KINDS for part in (kind.stable, kind.canary)})
    ports = dict(zip(parts, free_ports(len(parts)), strict=True))
    with ExitStack() as stack:
        for number, (part, port) in enumerate(ports.items()):
            serve = [sys.executable, "-m", "bench.upstream", str(port), str(part), str(SEED + number)]
            stack.enter_context(Child(f"upstream-{part}", serve, home, talks=True)).hear()
        yield ports


@contextmanager
def _edge(home: Path, apps: Mapping[str, Kind], ports: Mapping[float, int]) -> Iterator[tuple[Server, int]]:
    port, admin = free_ports(2)
    (records := home / "records").mkdir()
    revealing = {"reveal": {"deployment": True}, "accessLog": {"stdout": False}}
    put(records / "edge.yaml", text_of(worlds.document("Gateway", "edge", worlds.gateway(port) | revealing)))
    for app, kind in apps.items():
        put(records / f"{app}.yaml", text_of(*_documents(app, (ports[kind.stable], ports[kind.canary]))))
        put(release_file(records, app), text_of(_release(app)))
    with ExitStack() as stack:
        server = stack.enter_context(Server(records, home))
        bootstrap = server.bootstrap("edge", Mode.DELTA, admin, "bench")
        stack.enter_context(Envoy(EnvoyVersion.CURRENT, bootstrap, home)).wait_ready()
        yield server, port


def _documents(app: str, ports: Iterable[int]) -> Iterator[Document]:
    """Builds and deployments of two versions."""
    for number, port in enumerate(ports, 1):
        spec = worlds.build(app, "web", number) | {"endpoints": {"addresses": [f"127.0.0.1:{port}"]}}
        yield worlds.document("Build", f"{app}-web{number}", spec)
        web = {"build": worlds.build_hash("web", number), "routes": [{"pathPrefix": "/"}]}
        deployed: Document = {"app": app, "version": f"v{number}", "components": {"web": web}}
        yield worlds.document("AppDeployment", f"{app}-v{number}", deployed)


def _release(app: str, **more: object) -> Document:
    default = [{"deployment": f"{app}-v1", "weight": 100}, {"deployment": f"{app}-v2", "weight": 0}]
    usual = {"app": app, "gateways": ["edge"], "hosts": [f"{app}.example.com"], "default": default}
    return worlds.document("Release", app, {**usual, **more})


def _wait_served(port: int, apps: Iterable[str]) -> None:
    def serves(app: str) -> bool:
        with Client(port) as client, suppress(OSError):
            return client.get(f"{app}.example.com").served is not None
        return False

    for app in apps:
        wait_until(partial(serves, app), f"{app} is served", LIMIT)
