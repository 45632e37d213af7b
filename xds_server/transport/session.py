"""One stream: what gRPC delivers goes into a pure stream object, and what that answers goes out.

Its tasks share the stream object, which is called without awaiting and so needs no lock. One reads requests, one
follows the world, one writes, because gRPC allows one write at a time; and each timer is one. They end together.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic

import structlog

from xds_server.domain.errors import PeerMisbehaved
from xds_server.ports import Observer, Worlds
from xds_server.protocol.events import Acked, Effect, Nacked, Node, Send, Stuck, Wake
from xds_server.protocol.stream import Request, Stream
from xds_server.transport.connections import Connection, Connections

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions of a server share."""

    worlds: Worlds
    observer: Observer
    connections: Connections


@dataclass(frozen=True, slots=True)
class Dialect(Generic[Request]):
    """A way to speak xDS."""

    mode: str
    decode: Callable[[bytes], Request]
    stream: Callable[[], Stream[Request]]


class _Over(Exception):
    """Nothing more is to be written: the tasks of the session may end."""


class Session(Generic[Request]):
    """A conversation with one client. `fault` is how the client broke the protocol, if that ended it."""

    def __init__(self, dialect: Dialect[Request], surroundings: Surroundings) -> None:
        self.fault: PeerMisbehaved | None = None
        self._dialect: Dialect[Request] = dialect
        self._surroundings = surroundings
        self._stream: Stream[Request] = dialect.stream()
        self._outbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._tasks = asyncio.TaskGroup()
        self._client: Node | None = None
        self._connection: Connection | None = None

    async def run(self, requests: AsyncIterator[bytes], write: Callable[[bytes], Awaitable[None]]) -> None:
        """Converse until the client ends the stream, breaks the protocol, or `end` is called."""
        try:
            async with self._tasks as tasks:
                tasks.create_task(self._read(requests))
                while await self._write_next(write):
                    pass
                raise _Over
        except* _Over:
            pass
        finally:
            self._leave()

    def end(self) -> None:
        """Write what is waiting to be written, and then no more."""
        self._outbox.put_nowait(None)

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        try:
            async for encoded in requests:
                self._hear(encoded)
        except PeerMisbehaved as fault:
            log.warning("client broke the protocol", node=self._client and self._client.id, fault=str(fault))
            self.fault = fault
        self.end()

    def _hear(self, encoded: bytes) -> None:
        effects = self._stream.receive(self._dialect.decode(encoded))
        if self._client is None and self._stream.node is not None:
            self._enter(self._stream.node)
        self._apply(effects)

    async def _write_next(self, write: Callable[[bytes], Awaitable[None]]) -> bool:
        # A function of its own, so that no response is kept in memory while there is nothing to write.
        payload = await self._outbox.get()
        if payload is None:
            return False
        await write(payload)
        return True

    async def _follow(self, node: Node) -> None:
        async for snapshot in self._surroundings.worlds.world_of(node, self._dialect.mode).follow():
            self._apply(self._stream.publish(snapshot))

    async def _wait(self, wake: Wake) -> None:
        await asyncio.sleep(wake.seconds)
        self._apply(self._stream.elapsed(wake.token))

    def _enter(self, node: Node) -> None:
        """The client has said who it is."""
        here = self._surroundings
        self._client = node
        log.info("stream opened", node=node.id, cluster=node.cluster, mode=self._dialect.mode, version=node.version)
        duplicate = bool(here.connections.of(node.id))
        self._connection = here.connections.enter(node, self._dialect.mode, self._stream)
        here.observer.opened(node, self._dialect.mode)
        if duplicate:
            log.warning("node id is on two streams", node=node.id)
            here.observer.duplicate(node)
        objection = here.worlds.objection(node)
        if objection:
            log.warning("this proxy is told nothing", node=node.id, cluster=node.cluster, because=objection)
            here.observer.unknown(node)
        self._tasks.create_task(self._follow(node))

    def _leave(self) -> None:
        node = self._client
        if node is None or self._connection is None:
            return
        self._surroundings.connections.leave(self._connection)
        log.info("stream closed", node=node.id, mode=self._dialect.mode)
        self._surroundings.observer.closed(node, self._dialect.mode)

    def _note(self, nacked: Nacked) -> None:
        """Why, for those who ask later."""
        if self._connection is not None:
            self._connection.reasons.update(((nacked.type_url, name), nacked.reason) for name in nacked.names)

    def _apply(self, effects: list[Effect]) -> None:
        node, observer = self._client, self._surroundings.observer
        assert node is not None
        for effect in effects:
            match effect:
                case Send():
                    self._outbox.put_nowait(effect.payload)
                    observer.sent(node, effect)
                case Acked():
                    observer.acked(node, effect)
                case Nacked():
                    log.warning("response refused", node=node.id, type_url=effect.type_url, reason=effect.reason)
                    self._note(effect)
                    observer.nacked(node, effect)
                case Wake():
                    self._tasks.create_task(self._wait(effect))
                case Stuck():
                    log.warning("clusters do not warm", node=node.id, clusters=effect.clusters)
                    observer.stuck(node, effect)
