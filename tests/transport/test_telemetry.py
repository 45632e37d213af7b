"""A real gRPC client exports over loopback, as Envoy does: on the connection of its xDS stream, or on another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from tests.transport.test_server import METHODS, REQUESTS, Gateways, Heard
from xds_server.messages.metrics import SERVICE as METRICS
from xds_server.transport.server import SERVICE, XdsServer


async def export(channel: grpc.aio.Channel, encoded: bytes) -> bytes:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{METRICS}/Export")
    return await call(encoded)


class Taken:
    """What a server was given, and whether it has room."""

    def __init__(self) -> None:
        self.exports: list[tuple[str, bytes]] = []
        self.has_room = True

    def take(self, node: str, encoded: bytes) -> bool:
        self.exports.append((node, encoded))
        return self.has_room


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Taken, Heard, str]]:
    taken, heard = Taken(), Heard()
    server = XdsServer(Gateways(), heard, take=taken.take)
    port = await server.start("127.0.0.1:0")
    try:
        yield taken, heard, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_who_exports_is_known_by_the_stream_on_its_connection() -> None:
    async with serving() as (taken, heard, address), grpc.aio.insecure_channel(address) as channel:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            f"/{SERVICE}/{METHODS['sotw']}"
        )
        stream = method()
        request = REQUESTS["sotw"](type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster")
        request.node.id = request.node.cluster = "edge-1"
        await stream.write(request.SerializeToString())
        await heard.until("opened", "edge-1", "sotw")

        assert await export(channel, b"totals") == b""
        stream.cancel()
        await heard.until("closed", "edge-1", "sotw")
        await export(channel, b"later")

        assert taken.exports == [("edge-1", b"totals"), ("", b"later")]


async def test_who_has_no_stream_is_nobody() -> None:
    async with serving() as (taken, _, address), grpc.aio.insecure_channel(address) as channel:
        await export(channel, b"totals")
        assert taken.exports == [("", b"totals")]


async def test_where_there_is_no_room_it_is_said() -> None:
    async with serving() as (taken, _, address), grpc.aio.insecure_channel(address) as channel:
        taken.has_room = False
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await export(channel, b"totals")
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
