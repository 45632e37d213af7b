"""One stream: what gRPC delivers goes into a pure stream object, and what that answers goes out.

One task reads requests, one writes, because gRPC allows one write at a time; they end together. The stream sits among
those that are told the same, and is called without awaiting, so it needs no lock. What it says is appended to what is
to be written. That cannot grow: of each type at most one response is unanswered, so who does not read is owed a handful
of responses, and keeps nobody waiting.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic

import structlog

from xds_server.domain.errors import PeerMisbehaved
from xds_server.ports import Observer, Seat, Worlds
from xds_server.protocol.events import Acked, Effect, End, Nacked, Node, Quarantined, Send, Stuck, Untried, Wake
from xds_server.protocol.stream import MOST_TYPES, Request, Stream
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

    def __init__(self, dialect: Dialect[Request], surroundings: Surroundings, peer: str = "") -> None:
        self._peer = peer
        self.fault: PeerMisbehaved | None = None
        self._dialect: Dialect[Request] = dialect
        self._surroundings = surroundings
        self._stream: Stream[Request] = dialect.stream()
        self._outbox: deque[bytes | None] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._tasks = asyncio.TaskGroup()
        self._client: Node | None = None
        self._seat: Seat | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._connection: Connection | None = None

    async def run(self, requests: AsyncIterator[bytes], write: Callable[[bytes], Awaitable[None]]) -> None:
        """Converse until the client ends the stream, breaks the protocol, or `end` is called."""
        try:
            async with self._tasks as tasks:
                tasks.create_task(self._read(requests))
                try:
                    await self._write_all(write)
                finally:
                    self._leave()
                raise _Over
        except* _Over:
            pass

    def end(self) -> None:
        """Write what is waiting to be written, and then no more."""
        self._post(None)

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        try:
            async for encoded in requests:
                self._hear(encoded)
        except PeerMisbehaved as fault:
            self._break_off(fault)
        self.end()

    def _break_off(self, fault: PeerMisbehaved) -> None:
        log.warning("client broke the protocol", node=self._client and self._client.id, fault=str(fault))
        self.fault = fault
        self.end()

    def _hear(self, encoded: bytes) -> None:
        request = self._dialect.decode(encoded)
        if self._seat is not None:
            self._seat.receive(request)
            return
        self._stream.receive(request)  # says nothing before it has a world
        assert self._stream.node is not None
        self._enter(self._stream.node)

    async def _write_all(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write until `end`. No response is kept in memory while there is nothing to write."""
        loop = asyncio.get_running_loop()
        while True:
            while self._outbox:
                payload = self._outbox.popleft()
                if payload is None:
                    return
                await write(payload)
                del payload
            self._idle = loop.create_future()
            await self._idle

    def _post(self, payload: bytes | None) -> None:
        self._outbox.append(payload)
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _wait(self, wake: Wake) -> None:
        def over() -> None:
            self._timers.discard(timer)
            if self._seat is not None:
                self._seat.elapsed(wake.token)

        timer: asyncio.TimerHandle = asyncio.get_running_loop().call_later(wake.seconds, over)
        self._timers.add(timer)

    def _enter(self, node: Node) -> None:
        """The client has said who it is."""
        here = self._surroundings
        log.info("stream opened", node=node.id, cluster=node.cluster, mode=self._dialect.mode, version=node.version)
        others = len(here.connections.of(node.id))
        self._connection = here.connections.enter(node, self._dialect.mode, self._stream, self._peer)
        self._client = node = self._connection.node
        here.observer.opened(node, self._dialect.mode)
        if others == 1:  # once, however many more there are
            log.warning("node id is on two streams", node=node.id)
        if others:
            here.observer.duplicate(node)
        objection = here.worlds.objection(node)
        if objection:
            log.warning("this proxy is told nothing", node=node.id, cluster=node.cluster, because=objection)
            here.observer.unknown(node)
        self._seat = here.worlds.join(node, self._dialect.mode, self._stream, self._apply)
        self._connection.seat = self._seat

    def _leave(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._seat is not None:
            self._seat.leave()
            self._seat = None
        node = self._client
        if node is None or self._connection is None:
            return
        self._surroundings.connections.leave(self._connection)
        log.info("stream closed", node=node.id, mode=self._dialect.mode)
        self._surroundings.observer.closed(node, self._dialect.mode)

    def _apply(self, effects: list[Effect]) -> None:
        """Never raises: whoever told the stream of a newer world has others to tell."""
        try:
            self._act(effects)
        except Exception as error:  # noqa: BLE001 - whatever it is, this stream ends because of it, and no other
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        log.error("stream failed", node=self._client and self._client.id, exc_info=error)
        self.end()

    def _act(self, effects: list[Effect]) -> None:
        node, observer = self._client, self._surroundings.observer
        assert node is not None
        assert self._connection is not None
        for effect in effects:
            match effect:
                case Send():
                    self._put(effect)
                    observer.sent(node, effect)
                case Acked():
                    observer.acked(node, effect)
                case Nacked():
                    log.warning("response refused", node=node.id, type_url=effect.type_url, reason=effect.reason)
                    self._connection.note(effect)
                    observer.nacked(node, effect)
                case Wake():
                    self._wait(effect)
                case Stuck() | Quarantined() | Untried():
                    self._report(node, effect)
                case End():
                    self._obey(effect)

    def _obey(self, order: End) -> None:
        if order.error is not None:
            self._fail(order.error)
            return
        log.info("stream is to begin anew", node=self._client and self._client.id, because=order.reason)
        self.end()

    def _put(self, send: Send) -> None:
        if len(self._outbox) > MOST_TYPES:  # nobody can accept what is still here
            self._break_off(PeerMisbehaved("responses are answered that have not been sent"))
        else:
            self._post(send.payload)

    def _report(self, node: Node, effect: Stuck | Quarantined | Untried) -> None:
        observer = self._surroundings.observer
        match effect:
            case Stuck():
                log.warning("clusters do not warm", node=node.id, clusters=effect.clusters)
                observer.stuck(node, effect)
            case Quarantined():
                log.warning("others are not told what was refused", node=node.id, **_about(effect))
                observer.quarantined(node, effect)
            case Untried():
                log.warning("everybody is told what nobody answered", node=node.id, **_about(effect))
                observer.untried(node, effect)


def _about(effect: Quarantined | Untried) -> dict[str, str]:
    return {"type_url": effect.type_url, "name": effect.name}
