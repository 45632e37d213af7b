"""A real gRPC client against the server, over loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from tests.protocol.worlds import CDS, EDS, RDS, world
from xds_server.domain.versions import OLDEST
from xds_server.messages.bridge import upb_class
from xds_server.messages.codec import decode
from xds_server.messages.envoy import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from xds_server.ports import Observer, Seat, Worlds
from xds_server.protocol.events import Acked, Nacked, Node, Quarantined, Send, Stuck, Untried
from xds_server.protocol.plan import Pace
from xds_server.protocol.stream import Stream
from xds_server.runtime.kinds import Hear, ServedKind
from xds_server.snapshot import Snapshot
from xds_server.transport.server import SERVICE, XdsServer

MODES = ["sotw", "delta"]
METHODS = {"sotw": "StreamAggregatedResources", "delta": "DeltaAggregatedResources"}
REQUESTS = {"sotw": upb_class(DiscoveryRequest), "delta": upb_class(DeltaDiscoveryRequest)}
RESPONSES: dict[str, Any] = {"sotw": DiscoveryResponse, "delta": DeltaDiscoveryResponse}
NAMES = {"sotw": "resource_names", "delta": "resource_names_subscribe"}


@dataclass
class Gateways(Worlds):
    """The proxies of each gateway by name. Those of one that nobody wrote a record for are told nothing."""

    of: dict[str, ServedKind] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    @override
    def objection(self, node: Node) -> str:
        return "" if node.cluster in self.known else "there is no such gateway"

    @override
    def join(self, node: Node, mode: str, stream: Stream[Any], hear: Hear) -> Seat:
        return self.kind(node.cluster).join(stream, hear)

    def kind(self, gateway: str) -> ServedKind:
        return self.of.setdefault(gateway, ServedKind(OLDEST))

    def publish(self, gateway: str, snapshot: Snapshot) -> None:
        self.known.add(gateway)
        self.kind(gateway).offer(snapshot)


class Heard(Observer):
    """Writes down what it is told, and can be waited for."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, ...]] = []
        self.fails_for = ""
        self._more = asyncio.Event()

    async def until(self, *fact: str) -> None:
        """Wait until this was told."""
        async with asyncio.timeout(30):
            while fact not in self.facts:
                self._more.clear()
                await self._more.wait()

    @override
    def opened(self, node: Node, mode: str) -> None:
        self._hear("opened", node.id, mode)

    @override
    def closed(self, node: Node, mode: str) -> None:
        self._hear("closed", node.id, mode)

    @override
    def unknown(self, node: Node) -> None:
        self._hear("unknown", node.id, node.cluster)

    @override
    def duplicate(self, node: Node) -> None:
        self._hear("duplicate", node.id)

    @override
    def sent(self, node: Node, send: Send) -> None:
        if node.id == self.fails_for:
            raise ZeroDivisionError
        self._hear("sent", node.id, send.type_url, *(each.name for each in send.resources))

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        self._hear("acked", node.id, acked.type_url, *(each.name for each in acked.resources))

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self._hear("nacked", node.id, nacked.type_url, nacked.reason)

    @override
    def stuck(self, node: Node, stuck: Stuck) -> None:
        self._hear("stuck", node.id, *stuck.clusters)

    @override
    def quarantined(self, node: Node, quarantined: Quarantined) -> None:
        self._hear("quarantined", node.id, quarantined.name)

    @override
    def untried(self, node: Node, untried: Untried) -> None:
        self._hear("untried", node.id, untried.name)

    def _hear(self, *fact: str) -> None:
        self.facts.append(fact)
        self._more.set()


class Client:
    """One stream of a client."""

    def __init__(self, channel: grpc.aio.Channel, mode: str, name: str, gateway: str = "edge") -> None:
        self.mode = mode
        self.name = name
        self._node = {"id": name, "cluster": gateway}
        self.call: Any = channel.stream_stream(f"/{SERVICE}/{METHODS[mode]}")()

    async def ask(self, type_url: str, *names: str, node: bool = True, **rest: Any) -> None:
        request = REQUESTS[self.mode](type_url=type_url, **{NAMES[self.mode]: names}, **rest)
        if node:
            request.node.id, request.node.cluster = self._node["id"], self._node["cluster"]
        await self.write(request.SerializeToString())

    async def write(self, encoded: bytes) -> None:
        await self.call.write(encoded)

    async def ended(self) -> grpc.StatusCode:
        """Read what is left, and say how it ended."""
        while await self.call.read() is not grpc.aio.EOF:
            pass
        code: grpc.StatusCode = await self.call.code()
        return code

    async def read(self) -> Any:
        return decode(RESPONSES[self.mode], await asyncio.wait_for(self.call.read(), 30))


@dataclass
class House:
    """A running server and what it needs."""

    gateways: Gateways
    heard: Heard
    server: XdsServer
    channel: grpc.aio.Channel

    def client(self, mode: str, name: str = "envoy-1", gateway: str = "edge") -> Client:
        return Client(self.channel, mode, name, gateway)


@asynccontextmanager
async def serving(patience: float = 2.0) -> AsyncIterator[House]:
    gateways, heard = Gateways(), Heard()
    server = XdsServer(gateways, heard, pace=Pace(patience, rest=0.0))
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield House(gateways, heard, server, channel)
    finally:
        await server.stop(0)


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_is_served_and_follows_the_world(mode: str) -> None:
    async with serving() as house:
        house.gateways.publish("edge", first := world(clusters=["web"]))
        client = house.client(mode)
        await client.ask(CDS)
        response = await client.read()
        assert (response.type_url, len(response.resources)) == (CDS, 1)
        await client.ask(CDS, response_nonce=response.nonce, node=False)
        await house.heard.until("acked", "envoy-1", CDS, "web")
        house.gateways.publish("edge", world(clusters=["web=2"], after=first))
        assert (await client.read()).nonce not in ("", response.nonce)
        await client.call.done_writing()
        await house.heard.until("closed", "envoy-1", mode)
        assert house.heard.facts[:2] == [("opened", "envoy-1", mode), ("sent", "envoy-1", CDS, "web")]
        assert await client.call.code() == grpc.StatusCode.OK


@pytest.mark.parametrize("mode", MODES)
async def test_nobody_is_answered_before_the_first_world(mode: str) -> None:  # R7
    async with serving() as house:
        house.gateways.known.add("edge")
        client = house.client(mode)
        await client.ask(CDS)
        await client.ask(EDS, "pods")
        await house.heard.until("opened", "envoy-1", mode)
        assert house.heard.facts == [("opened", "envoy-1", mode)]
        house.gateways.publish("edge", world(clusters=["web"], endpoints=["pods"]))
        assert [(await client.read()).type_url for _ in range(2)] == [CDS, EDS]


@pytest.mark.parametrize("mode", MODES)
async def test_an_unknown_gateway_is_told_nothing_until_there_is_one(mode: str) -> None:
    async with serving() as house:
        with capture_logs() as logs:
            client = house.client(mode, gateway="nowhere")
            await client.ask(CDS)
            await client.ask(EDS, "pods")
            await house.heard.until("unknown", "envoy-1", "nowhere")
        assert [line["log_level"] for line in logs if line.get("cluster") == "nowhere"] == ["info", "warning"]
        house.gateways.publish("nowhere", world(clusters=["web"]))
        assert (await client.read()).type_url == CDS
        assert len([fact for fact in house.heard.facts if fact[0] == "unknown"]) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_two_streams_with_one_id_are_both_served(mode: str) -> None:
    async with serving() as house:
        house.gateways.publish("edge", first := world(clusters=["web"]))
        one, two = house.client(mode), house.client(mode)
        for client in (one, two):
            await client.ask(CDS)
            response = await client.read()
            await client.ask(CDS, response_nonce=response.nonce)
        assert house.heard.facts.count(("duplicate", "envoy-1")) == 1
        house.gateways.publish("edge", world(clusters=["web=2"], after=first))
        assert [(await client.read()).type_url for client in (one, two)] == [CDS, CDS]
        await one.call.done_writing()
        await two.call.done_writing()
        await house.heard.until("closed", "envoy-1", mode)
        third = house.client(mode)
        await third.ask(CDS)
        await third.read()


async def test_an_id_is_free_again_once_its_stream_is_closed() -> None:
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"]))
        for _ in range(2):
            client = house.client("delta")
            await client.ask(CDS)
            await client.read()
            await client.call.done_writing()
            await house.heard.until("closed", "envoy-1", "delta")
            house.heard.facts.remove(("closed", "envoy-1", "delta"))
        assert ("duplicate", "envoy-1") not in house.heard.facts


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        pytest.param({"type_url": CDS}, "the first request of a stream must carry a node", id="no-node"),  # R2
        pytest.param({"node": {"id": "envoy-1"}}, "must have a type_url", id="no-type"),  # R3
        pytest.param(b"\xff\xff", "could not be decoded", id="no-request"),
    ],
)
async def test_who_breaks_the_protocol_is_closed(mode: str, encoded: dict[str, Any] | bytes, why: str) -> None:
    async with serving() as house:
        client = house.client(mode)
        broken = encoded if isinstance(encoded, bytes) else REQUESTS[mode](**encoded).SerializeToString()
        await client.write(broken)
        assert await client.call.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert why in await client.call.details()


async def test_others_are_not_affected_by_who_breaks_the_protocol() -> None:
    async with serving() as house:
        house.gateways.publish("edge", first := world(clusters=["web"]))
        good, bad = house.client("delta", "good"), house.client("delta", "bad")
        for client in (good, bad):
            await client.ask(CDS)
            await client.ask(CDS, response_nonce=(await client.read()).nonce)
        await bad.ask("")
        assert await bad.call.code() == grpc.StatusCode.INVALID_ARGUMENT
        await house.heard.until("closed", "bad", "delta")
        house.gateways.publish("edge", world(clusters=["web=2"], after=first))
        assert [each.version for each in (await good.read()).resources] == ["2"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_stream_that_fails_is_ended_and_logged_and_the_others_are_told(mode: str) -> None:
    async with serving() as house:
        house.gateways.publish("edge", first := world(clusters=["web"]))
        clients = bad, good, other = [house.client(mode, name) for name in ("bad", "good", "other")]
        for client in clients:
            await client.ask(CDS)
            await client.ask(CDS, response_nonce=(await client.read()).nonce)
            await house.heard.until("acked", client.name, CDS, "web")
        house.heard.fails_for = "bad"
        with capture_logs() as logs:
            house.gateways.publish("edge", world(clusters=["web=2"], after=first))
            assert await bad.ended() == grpc.StatusCode.OK
            for client in (good, other):
                await client.ask(CDS, response_nonce=(await client.read()).nonce)
            await house.heard.until("closed", "bad", mode)
        [failure] = [each for each in logs if each["event"] == "stream failed"]
        assert failure["node"] == "bad"
        assert isinstance(failure["exc_info"], ZeroDivisionError)


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_vanishes_is_let_go(mode: str) -> None:
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"]))
        client = house.client(mode)
        await client.ask(CDS)
        await client.read()
        client.call.cancel()
        await house.heard.until("closed", "envoy-1", mode)


async def test_a_client_that_connects_and_says_nothing_is_let_be() -> None:  # R2: health probes
    async with serving() as house:
        client = house.client("delta")
        await client.call.done_writing()
        assert await client.call.code() == grpc.StatusCode.OK
        assert house.heard.facts == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_refusal_is_reported_with_its_reason(mode: str) -> None:  # R9
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"]))
        client = house.client(mode)
        await client.ask(CDS)
        await client.ask(CDS, response_nonce=(await client.read()).nonce, error_detail={"message": "web: bad port"})
        await house.heard.until("nacked", "envoy-1", CDS, "web: bad port")


@pytest.mark.parametrize("mode", MODES)
async def test_routes_go_on_when_clusters_do_not_warm(mode: str) -> None:
    async with serving(patience=0.01) as house:
        house.gateways.publish("edge", world(clusters=["web"], routes=["edge/http"]))
        client = house.client(mode)
        await client.ask(CDS)
        await client.read()
        await client.ask(RDS, "edge/http")
        assert (await client.read()).type_url == RDS
        assert ("stuck", "envoy-1", "web") in house.heard.facts


@pytest.mark.parametrize("mode", MODES)
async def test_stopping_writes_what_is_waiting_and_ends_all_streams(mode: str) -> None:
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"]))
        client = house.client(mode)
        await client.ask(CDS)
        await house.heard.until("sent", "envoy-1", CDS, "web")
        await asyncio.wait_for(house.server.stop(grace=30), 30)
        assert (await client.read()).type_url == CDS
        assert await client.call.code() == grpc.StatusCode.UNAVAILABLE
        assert house.heard.facts[-1] == ("closed", "envoy-1", mode)


async def test_a_long_list_of_old_versions_is_read() -> None:  # R6, B: Envoy Gateway at 4 MiB
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"]))
        client = house.client("delta")
        versions = {f"cluster-{number:06}-{'x' * 80}": "f" * 32 for number in range(40_000)}
        await client.ask(CDS, initial_resource_versions=versions)
        assert [each.name for each in (await client.read()).resources] == ["web"]


async def test_two_servers_cannot_share_a_port() -> None:
    async with serving():
        server = XdsServer(Gateways(), Heard())
        port = await server.start("127.0.0.1:0")
        with pytest.raises(RuntimeError):
            await XdsServer(Gateways(), Heard()).start(f"127.0.0.1:{port}")
        await server.stop(0)


async def test_who_does_not_read_is_owed_a_handful_and_keeps_nobody_waiting() -> None:
    big = "x" * 1_000_000
    async with serving() as house:
        newest = world(clusters=["web"], endpoints=[f"pods=1{big}"])
        house.gateways.publish("edge", newest)
        deaf, good = house.client("delta", "deaf"), house.client("delta", "good")
        for client in (deaf, good):
            await client.ask(EDS, "pods")
        await house.heard.until("sent", "deaf", EDS, "pods")
        [session] = [each for each in house.server._sessions if each._client and each._client.id == "deaf"]
        for number in range(2, 12):
            answered = await good.read()
            await good.ask(EDS, response_nonce=answered.nonce)
            newest = world(clusters=["web"], endpoints=[f"pods={number}{big}"], after=newest)
            house.gateways.publish("edge", newest)
        assert [each.version[:2] for each in (await good.read()).resources] == ["11"]
        assert [fact for fact in house.heard.facts if fact[:2] == ("sent", "deaf")] == [("sent", "deaf", EDS, "pods")]
        assert len(session._outbox) <= 1
