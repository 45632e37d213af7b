"""An Envoy that `xds-server run` has started ends without losing a request (`docs/sidecar-lifecycle.md`)."""

import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.support import http2, records
from e2e.support.client import Client, Reply
from e2e.support.envoy import Envoy, EnvoyVersion, RunEnvoy
from e2e.support.pair import Pair, application, pair_of
from e2e.support.processes import free_ports, wait_until
from e2e.support.records import Build, Folder
from e2e.support.server import Mode, Server
from e2e.support.upstream import Upstreams

pytestmark = pytest.mark.e2e

HOST = "shop.example.com"
GATEWAYS = ("edge", "other")
HELD = ("x-test-act", "slow/hold+200")
CLIENTS = 8
ANSWERED = r"^http[.].*inbound[.]downstream_rq_2xx$"


@dataclass(slots=True)
class Shop:
    """A shop behind two gateways that are alike, each with an Envoy to itself."""

    mode: Mode
    version: EnvoyVersion
    directory: Path
    server: Server
    upstreams: Upstreams
    ports: dict[str, int]
    other: Envoy

    @contextmanager
    def gateway(self) -> Iterator[RunEnvoy]:
        """The one that is to end."""
        (admin,) = free_ports(1)
        said = self.server.bootstrap("edge", self.mode, admin, f"edge-{admin}")
        with RunEnvoy(self.version, said, self.directory) as envoy:
            envoy.wait_ready()
            assert self.get().status == 200
            yield envoy

    def get(self, *headers: tuple[str, str], gateway: str = "edge") -> Reply:
        with Client(self.ports[gateway]) as client:
            return client.get(HOST, "/", headers)


@pytest.fixture(scope="module")
def shop(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    mode, version = pair
    directory = tmp_path_factory.mktemp("shutdown")
    with ExitStack() as stack:
        upstreams = stack.enter_context(Upstreams(directory))
        build = Build("shop", "web", "a1")
        *ports, admin = free_ports(len(GATEWAYS) + 1)
        folder = Folder(directory / "records")
        folder.root.mkdir()
        folder.write(
            "shop.yaml",
            *(records.gateway(name, port) for name, port in zip(GATEWAYS, ports, strict=True)),
            build.record([upstreams.start(build.identity)]),
            records.deployment("shop", "v1", {"web": {"build": "a1", "routes": [{"pathPrefix": "/"}]}}),
            records.release("shop", {"shop-v1": 100}, gateways=[*GATEWAYS]),
        )
        server = stack.enter_context(Server(folder.root, directory))
        other = stack.enter_context(Envoy(version, server.bootstrap("other", mode, admin, "other-1"), directory))
        other.wait_ready()
        yield Shop(mode, version, directory, server, upstreams, dict(zip(GATEWAYS, ports, strict=True)), other)


def test_what_is_under_way_finishes_and_the_exit_code_is_0(shop: Shop) -> None:
    with shop.gateway() as envoy, ThreadPoolExecutor() as pool:
        slow = pool.submit(shop.get, HELD)
        wait_until(lambda: shop.upstreams.held("slow") == 1, "the request is under way")
        envoy.child.signal(signal.SIGTERM)
        wait_until(lambda: not ready(envoy), "it drains")
        during = shop.get()
        wait_until(lambda: refused(shop.ports["edge"]), "new connections are refused after half of the time")
        assert envoy.child.alive
        shop.upstreams.let_go("slow")

        assert slow.result(10).status == 200
        assert envoy.child.ended() == 0
        assert (during.status, during.header("connection")) == (200, "close")


def test_what_does_not_finish_is_cut_when_the_time_is_over(shop: Shop) -> None:
    with shop.gateway() as envoy, ThreadPoolExecutor() as pool:
        slow = pool.submit(shop.get, HELD)
        wait_until(lambda: shop.upstreams.held("slow") == 1, "the request is under way")
        envoy.child.signal(signal.SIGTERM)

        assert envoy.child.ended() == 0
        assert isinstance(slow.exception(10), OSError)
    shop.upstreams.let_go("slow")


def test_a_second_signal_ends_it_at_once(shop: Shop) -> None:
    with shop.gateway() as envoy, ThreadPoolExecutor() as pool:
        slow = pool.submit(shop.get, HELD)
        wait_until(lambda: shop.upstreams.held("slow") == 1, "the request is under way")
        envoy.child.signal(signal.SIGTERM)
        wait_until(lambda: not ready(envoy), "it drains")
        assert envoy.child.alive
        envoy.child.signal(signal.SIGTERM)

        assert envoy.child.ended() == 0
        assert isinstance(slow.exception(10), OSError)
        assert "drained" not in envoy.child.last_words()
    shop.upstreams.let_go("slow")


def test_an_http2_connection_is_told_to_go_away_after_its_answer(shop: Shop) -> None:
    with shop.gateway() as envoy, http2.opened(shop.ports["edge"]) as connection:
        connection.sendall(http2.headers(1, HOST, HELD))
        wait_until(lambda: shop.upstreams.held("slow") == 1, "the request is under way")
        envoy.child.signal(signal.SIGTERM)
        wait_until(lambda: not ready(envoy), "it drains")
        shop.upstreams.let_go("slow")
        kinds = [frame.kind for frame in http2.frames(connection)]

        assert http2.GOAWAY in kinds
        assert http2.DATA in kinds
        assert envoy.child.ended() == 0


@dataclass(slots=True)
class Callers:
    """Clients that ask without a pause, each over a kept connection to the first gateway; to the other, once they are
    told to close it or cannot open one.
    """

    shop: Shop
    stop: threading.Event = field(default_factory=threading.Event)
    lost: list[object] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=lambda: dict.fromkeys(GATEWAYS, 0))

    def ask(self) -> None:
        gateway, client = "edge", Client(self.shop.ports["edge"])
        while not self.stop.is_set():
            try:
                reply = client.get(HOST)
            except OSError as error:
                self.lost.append(error)
                return
            self.at[gateway] += 1
            if reply.status != 200:
                self.lost.append(reply)
            if reply.header("connection") == "close":
                client.close()
                gateway, client = "other", Client(self.shop.ports["other"])
        client.close()


def test_kept_connections_lose_nothing_while_another_gateway_takes_over(shop: Shop) -> None:
    callers = Callers(shop)
    with shop.gateway() as envoy, ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(callers.ask) for _ in range(CLIENTS)]
        wait_until(lambda: callers.at["edge"] > 200, "the first gateway is in use")
        assert callers.at["other"] == 0
        envoy.child.signal(signal.SIGTERM)
        code = envoy.child.ended()
        after = callers.at["other"]
        wait_until(lambda: callers.at["other"] > after + 200, "the other has taken over")
        callers.stop.set()
        for each in asking:
            each.result(10)

    assert code == 0
    assert callers.lost == []


@pytest.fixture(scope="module")
def order(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair_of(*pair, tmp_path_factory.mktemp("sidecars")) as ready:
        yield ready


@pytest.mark.parametrize(
    ("deployment", "told"),
    [("order-v1", False), ("order-v2", True)],
    ids=["callers-try-again", "the-records-say-so-first"],
)
def test_a_sidecar_that_ends_loses_nothing_while_another_instance_takes_over(
    order: Pair, deployment: str, told: bool
) -> None:
    order.place(order.first, order.second)
    context = ("x-deployment", deployment)
    with ExitStack() as stack:
        first = stack.enter_context(application(order.first))
        ending = stack.enter_context(order.sidecar(order.first, run=True))
        stack.enter_context(order.instance(order.second))
        stack.enter_context(order.instance(order.ui))
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS + 1))
        stop = threading.Event()
        stack.callback(stop.set)
        slow = pool.submit(called, order.first.inbound, context, "/hold")
        wait_until(first.held.is_set, "a request is under way")
        asking = [pool.submit(statuses, order.ui.outbound, context, stop) for _ in range(CLIENTS)]
        wait_until(lambda: ending.total(ANSWERED) > 50, "it is in use")
        if told:
            order.place(order.second)
        ending.child.signal(signal.SIGTERM)
        wait_until(lambda: refused(order.first.inbound), "callers are refused")
        own = called(order.first.outbound, context)
        first.let_go.set()
        code = ending.child.ended()
        stop.set()
        found = Counter(status for each in asking for status in each.result(10))

    assert code == 0
    assert slow.result() == 200
    assert own == 200, "its application can still call"
    assert {*found} == {200}, found


def called(port: int, context: tuple[str, str], path: str = "/") -> int:
    with Client(port) as client:
        return client.get("api", path, [context]).status


def statuses(port: int, context: tuple[str, str], stop: threading.Event) -> list[int]:
    """What calls get, over one kept connection, until it is enough."""
    found = []
    with Client(port) as client:
        while not stop.is_set():
            found.append(client.get("api", "/", [context]).status)
    return found


def ready(envoy: Envoy) -> bool:
    with Client(envoy.admin_port) as client:
        return client.get("localhost", "/ready").status == 200


def refused(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0
