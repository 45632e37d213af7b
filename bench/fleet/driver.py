"""The process that runs a fleet. It is told what to do line by line on its standard input, in JSON, and answers so.

    {"do": "connect", "port": 18000, "groups": [{"count": 990, "mode": "full", "hosts": [], ...}, ...], "seed": 1}
                                                                    then, unasked, when all have what they asked for
    {"do": "watch", "type_url": ..., "name": ..., "count": 1000}    then, unasked, when the last has accepted that
    {"do": "keep", "file": ...}                                     write the response that the last one accepted there
    {"do": "churn", "every": 0.01}                                  a proxy drawn at random hangs up and connects anew
    {"do": "churn", "every": null}
    {"do": "tell"}                                                  what was heard so far

Times are of the clock that all processes of one machine share (`time.perf_counter`).
"""

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.fleet.http2 import Connection
from bench.fleet.proxy import Behaviour, Heard, Needs, Proxy, proxy

BEHAVIOUR = TypeAdapter(Behaviour)
CONNECTING = 50
"""So many connections are opened at once: a fleet that comes back in one instant is another measurement."""

RETRY = 0.02


class Watch:
    """Counts the proxies that have accepted one resource."""

    def __init__(self, type_url: str, name: str, count: int) -> None:
        self._type_url = type_url
        self._name = name
        self._missing = count
        self._first = 0.0
        self._processor = time.process_time()
        self._seen: set[str] = set()

    def see(self, who: str, heard: Heard) -> dict[str, Any] | None:
        """What is to be told once the last has accepted it."""
        if not heard.accepted or heard.type_url != self._type_url or self._name not in heard.names:
            return None
        if who in self._seen:
            return None
        self._seen.add(who)
        self._first = self._first or time.perf_counter()
        if len(self._seen) < self._missing:
            return None
        spent = time.process_time() - self._processor
        return {"first": self._first, "last": time.perf_counter(), "client_cpu": spent}


class Member:
    """One proxy and its connection."""

    def __init__(self, fleet: "Fleet", one: Proxy) -> None:
        self.proxy = one
        self._fleet = fleet
        self._connection: Connection | None = None
        self.connected = False

    async def connect(self, port: int) -> None:
        """Hang up, if it was connected, and connect anew."""
        if self._connection is not None:
            self._connection.close()
        self.connected = False
        connection = Connection(self.proxy.method, lambda said: self._hear(connection, said), self._fleet.lost)
        self._connection = connection
        await _connect(connection, port)
        for said in self.proxy.greet():
            connection.send(said)
        self.connected = True

    def _hear(self, connection: Connection, payload: bytes) -> None:
        heard = self.proxy.hear(payload)
        delay = self.proxy.behaviour.delay
        if delay:
            asyncio.get_running_loop().call_later(delay, self._answer, heard, payload, connection)
        else:
            self._answer(heard, payload, connection)

    def _answer(self, heard: Heard, payload: bytes, connection: Connection) -> None:
        if connection is not self._connection:
            return  # the stream that asked is over
        for said in heard.replies:
            connection.send(said)
        self._fleet.heard(self.proxy, heard, payload)


async def _connect(connection: Connection, port: int) -> None:
    """As soon as the server listens, of which nothing else would tell."""
    while True:
        with suppress(ConnectionRefusedError):
            await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", port)
            return
        await asyncio.sleep(RETRY)


class Fleet:
    """All proxies of this process. `tell` writes a line of JSON."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        self._tell = tell
        self._members: list[Member] = []
        self._unsettled: set[str] = set()
        self._watch: Watch | None = None
        self._random = random.Random()
        self._churn: float | None = None
        self._counts: Counter[str] = Counter()
        self._port = 0
        self._seen = b""

    async def connect(self, port: int, groups: list[dict[str, Any]], seed: int) -> None:
        """Every proxy connects and asks."""
        self._port, self._random = port, random.Random(seed)
        needs: Needs = {}
        for group, said in enumerate(groups):
            count = said.pop("count")
            behaviour = BEHAVIOUR.validate_python(said)
            self._members += [Member(self, proxy(f"fleet-{group}-{n}", behaviour, needs)) for n in range(count)]
        self._unsettled = {each.proxy.name for each in self._members}
        for start in range(0, len(self._members), CONNECTING):
            await asyncio.gather(*(each.connect(port) for each in self._members[start : start + CONNECTING]))
        self._tell({"said": "connected"})

    def watch(self, type_url: str, name: str, count: int) -> None:
        self._watch = Watch(type_url, name, count)
        self._tell({"said": "watching"})

    def keep(self, file: str) -> None:
        Path(file).write_bytes(self._seen)
        self._tell({"said": "kept"})

    def churn(self, every: float | None) -> None:
        """Seconds from one proxy's reconnecting to the next one's; None: nobody does any more."""
        idle, self._churn = self._churn is None, every
        if idle and every is not None:
            asyncio.get_running_loop().call_later(every, self._reconnect_one)

    def tell(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._tell({"said": "counts", "client_cpu": used.ru_utime + used.ru_stime, **self._counts})

    def heard(self, who: Proxy, heard: Heard, payload: bytes) -> None:
        self._counts["accepted" if heard.accepted else "refused"] += 1
        self._counts["bytes"] += len(payload)
        if who.name in self._unsettled and who.settled:
            self._unsettled.discard(who.name)
            if not self._unsettled:
                self._tell({"said": "settled", "at": time.perf_counter()})
        found = self._watch and self._watch.see(who.name, heard)
        if found:
            self._watch, self._seen = None, payload
            self._tell({"said": "seen", "bytes": len(payload), **found})

    def lost(self) -> None:
        self._counts["lost"] += 1

    def _reconnect_one(self) -> None:
        if self._churn is None:
            return
        loop = asyncio.get_running_loop()
        member = self._random.choice(self._members)
        if member.connected:
            self._counts["reconnected"] += 1
            task = loop.create_task(member.connect(self._port))
            task.add_done_callback(lambda done: done.result())
        loop.call_later(self._churn, self._reconnect_one)


async def main() -> None:
    fleet = Fleet(lambda said: print(json.dumps(said), flush=True))
    lines = asyncio.StreamReader(limit=1 << 26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        asked = json.loads(line)
        match asked.pop("do"):
            case "connect":
                await fleet.connect(**asked)
            case "watch":
                fleet.watch(**asked)
            case "keep":
                fleet.keep(**asked)
            case "churn":
                fleet.churn(**asked)
            case "tell":
                fleet.tell()
            case unknown:
                raise ValueError(unknown)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
