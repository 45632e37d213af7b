"""A control with extensions: who is told what and when, what is saved, what is a problem."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from typing_extensions import override

from tests.records.folder import SHOP, build, deployment, gateway, record, release
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.extension import Context
from xds_server.ledger.entry import State
from xds_server.messages.codec import decode, encode
from xds_server.messages.envoy import Cluster
from xds_server.protocol.events import Acked, Node
from xds_server.records.extensions import ANNOTATION
from xds_server.records.reading import Batch, Readable
from xds_server.resources.extensions import Failure, Outcome
from xds_server.runtime.control import Control
from xds_server.runtime.extensions import Extender
from xds_server.runtime.metrics import Metrics
from xds_server.snapshot import Snapshot, TypeUrl
from xds_server.state.store import Store

NO = Failure("mine:patient", "KeyError: 7", "mine.py:3")


class Patient:
    """An extension that gives clusters another name for their statistics, unless it is to fail."""

    module = "mine"
    functions = ("patient",)

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.takes: Mapping[str, str] = {"patient": TypeUrl.CLUSTER.value}
        self.calls = 0

    async def change(self, _function: str, body: bytes, _context: Context) -> Outcome:
        self.calls += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            return self.failure
        cluster = decode(Cluster, body)
        cluster.alt_stat_name = f"{cluster.name} extended"
        return encode(cluster)


class Server:
    """A control at work."""

    def __init__(self, store: Store, patient: Any) -> None:
        self.extender = Extender([patient])
        self.control = Control("records", store, Metrics(), allow_empty=False, extender=self.extender)

    def hears(self, files: Mapping[str, str], *, complete: bool = False) -> None:
        self.control.hear(Batch({name: Readable(text) for name, text in files.items()}, complete))

    @property
    def snapshot(self) -> Snapshot | None:
        return self.control.worlds.told(Ref("default", "edge"))

    def connects(self, version: str) -> None:
        for observer in self.control.observers:
            observer.opened(Node(f"edge-{version}", "edge", "gateway", version=version), "delta")

    @property
    def newer(self) -> list[Problem]:
        return [each for each in self.control.problems if each.reason is Reason.NEWER_ENVOY]

    @property
    def stat_name(self) -> str | None:
        """What proxies have of the cluster of v1; None if they do not have it."""
        assert self.snapshot is not None
        found = self.snapshot.of(TypeUrl.CLUSTER).get("v1/web")
        return str(decode(Cluster, found.body).alt_stat_name) if found else None

    async def until_told(self) -> None:
        await self._until(lambda: self.snapshot is not None)

    async def until_settled(self) -> None:
        await self._until(lambda: not self.extender._busy or any(self.extender.failures))

    async def _until(self, held: Any) -> None:
        async with asyncio.timeout(30):
            while not held():  # noqa: ASYNC110 - what is waited for happens in this loop, with no clock
                await asyncio.sleep(0)


@asynccontextmanager
async def serving(store: Store, patient: Patient) -> AsyncIterator[Server]:
    server = Server(store, patient)
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(server.extender.work(server.control.publishing))
        yield server
        working.cancel()


def asking(text: str, name: str = "patient") -> str:
    return text.replace('"name"', f'"annotations": {{"{ANNOTATION}": "{name}"}}, "name"', 1)


ASKING = {**SHOP, "v1.yaml": asking(deployment("v1", "b1"))}


async def test_the_first_that_proxies_are_told_is_extended(store: Store) -> None:
    async with serving(store, Patient()) as server:
        server.hears(ASKING, complete=True)
        assert server.snapshot is None
        assert not server.control.worlds.objection(Node("n", "edge", "gateway"))

        await server.until_told()
        assert server.stat_name == "v1/web extended"


async def test_one_that_fails_keeps_nobody_waiting(store: Store) -> None:
    patient = Patient()
    patient.failure = NO
    async with serving(store, patient) as server:
        server.hears(ASKING, complete=True)
        await server.until_told()

        assert server.stat_name is None
        [problem] = [each for each in server.control.problems if each.severity is Severity.ERROR]
        assert str(problem) == (
            "v1.yaml:1 (document 1): error: AppDeployment/default/v1: "
            "extension mine:patient for Cluster v1/web: KeyError: 7 (mine.py:3). "
            "Until it succeeds, proxies keep the Cluster that they have; one that they do not have is withheld. "
            "[ExtensionFailed]"
        )

        server.hears({"v1.yaml": deployment("v1", "b1")})
        assert server.stat_name == "v1/web"
        assert not [each for each in server.control.problems if each.severity is Severity.ERROR]


async def test_after_a_restart_what_was_made_last_is_told_though_the_extension_fails(store: Store) -> None:
    patient = Patient()
    async with serving(store, patient) as server:
        server.hears(ASKING, complete=True)
        await server.until_told()

    patient.failure = NO
    async with serving(store, patient) as server:
        server.hears(ASKING, complete=True)
        await server.until_told()
        assert server.stat_name == "v1/web extended"
        assert server.control.problems


async def test_what_is_of_no_use_any_more_is_not_kept(store: Store) -> None:
    async with serving(store, Patient()) as server:
        server.hears(ASKING, complete=True)
        await server.until_told()
        assert [row.kind for row in store.load() if row.kind == "Extended"] == ["Extended"]

    async with serving(store, Patient()) as server:
        server.hears(SHOP, complete=True)
        assert [row for row in store.load() if row.kind == "Extended"] == []


async def test_a_change_elsewhere_calls_nobody(store: Store) -> None:
    patient = Patient()
    async with serving(store, patient) as server:
        server.hears(ASKING, complete=True)
        await server.until_told()
        server.hears({"shop.yaml": release("shop", "new.test")})
        await server.until_settled()

        assert patient.calls == 1


@pytest.mark.parametrize(
    ("file", "text", "gives"),
    [
        ("edge.yaml", gateway(), "Gateway gives Listener"),
        ("shop.yaml", release("shop", "shop.test"), "Release gives VirtualHost"),
        ("web.yaml", build("web-9"), "Build gives ClusterLoadAssignment"),
        ("web.yaml", build("web-9", "b9", endpoints={"dns": "web.internal:80"}), "Build with dns gives nothing"),
        ("app.yaml", record("App", "shop", {}), "App gives nothing"),
    ],
)
async def test_an_annotation_that_can_do_nothing_is_a_warning(store: Store, file: str, text: str, gives: str) -> None:
    async with serving(store, Patient()) as server:
        server.hears({**SHOP, file: asking(text)}, complete=True)

        [problem] = [each for each in server.control.problems if each.reason == "ExtensionUnused"]
        assert problem.severity is Severity.WARNING
        assert problem.what == f"extension patient takes a Cluster; a record {gives}"


async def test_a_name_that_nobody_has_is_one_problem_of_the_record(store: Store) -> None:
    async with serving(store, Patient()) as server:
        hosts = release("shop", "shop.test", "new.test")
        server.hears({**SHOP, "shop.yaml": asking(hosts, "unheard-of")}, complete=True)
        await server.until_told()

        [problem] = [each for each in server.control.problems if each.reason == "ExtensionFailed"]
        assert problem.what == "extension unheard-of: this server has no such extension; it has mine:patient"
        assert problem.fix.startswith("Start the server with --extension MODULE:unheard-of, or take it out.")


class Degrading(Patient):
    """Uses what not every Envoy knows."""

    @override
    async def change(self, _function: str, body: bytes, _context: Context) -> Outcome:
        cluster = decode(Cluster, body)
        cluster.outlier_detection.detect_degraded_hosts.value = True
        return encode(cluster)


async def test_what_only_newer_envoys_know_is_a_warning_while_it_is_made(store: Store) -> None:
    async with serving(store, Degrading()) as server:
        server.hears(ASKING, complete=True)
        await server.until_told()
        assert server.newer == [], "nobody is connected"

        for version in ("1.38.0", "1.37.9"):
            assert server.newer == []
            server.connects(version)
        [problem] = server.newer
        assert str(problem) == (
            "v1.yaml:1 (document 1): warning: AppDeployment/default/v1: extension patient gives Cluster v1/web what "
            "Envoys before 1.38 do not know (config.cluster.v3.OutlierDetection.detect_degraded_hosts): those do not "
            "get it, and answer 503 for its requests. Run Envoy 1.38 or later at every gateway, or leave it out. "
            "[NewerEnvoy]"
        )

        server.hears({"v1.yaml": SHOP["v1.yaml"]})
        assert server.newer == []
        server.hears({"v1.yaml": ASKING["v1.yaml"]})
        assert server.newer == [problem], "what the extension made is known, and needs no call"


class Untouched(Patient):
    """It gives virtual hosts back as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = {"patient": TypeUrl.VIRTUAL_HOST.value}

    @override
    async def change(self, _function: str, body: bytes, _context: Context) -> Outcome:
        return body


async def test_a_release_is_not_live_before_its_extension_has_made_what_carries_it(store: Store) -> None:
    async with serving(store, Untouched()) as server:
        books, proxy = server.control.books, Node("edge-1", "edge", "gateway", version="1.36.4")

        def state() -> State:
            entry = books.ledger.entry(Ref("default", "shop"))
            assert entry is not None
            return entry.state

        def takes_routes() -> None:
            assert server.snapshot is not None
            books.acked(proxy, Acked(TypeUrl.ROUTES, "1", tuple(server.snapshot.of(TypeUrl.ROUTES).values()), ()))

        server.hears({**SHOP, "shop.yaml": asking(release("shop", "shop.test"))}, complete=True)
        await server.until_told()
        books.opened(proxy, "delta")
        takes_routes()
        assert state() is State.LIVE

        server.hears({"shop.yaml": asking(release("shop", "shop.test", to="v2"))})
        takes_routes()
        assert state() is State.PENDING, "it holds all that there is, and that is the content before"
        await server.until_settled()
        assert state() is State.PENDING
        takes_routes()
        assert state() is State.LIVE
