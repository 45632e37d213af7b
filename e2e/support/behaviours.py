"""How upstreams behave: as a request asks or as they were told; and what they have seen.

A behaviour is a word: a status (`200`, `503`), a status of gRPC (`unavailable`), or an `Act`. `hold+503` waits until it
is let go, then answers 503; `503/20` answers that to one of 20 requests, and 200 to the others.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

Headers = Sequence[tuple[str, str]]
WELL = "200"
CHECKERS = ("Envoy/HC", "xds-server")
"""The user agents of health checks: Envoy's, and those of the server itself."""
HOLD = "hold"


class Act(StrEnum):
    """What is done in place of an answer."""

    RESET = "reset"
    """HTTP/1: the connection; HTTP/2: the stream."""
    REFUSE = "refuse"
    """HTTP/2: the stream, before anybody looked at it."""
    STALL = "stall"
    """Half an answer, and no more."""
    TRICKLE = "trickle"
    """A whole answer, piece by piece."""
    LIE = "lie"
    """HTTP/1: 503 and the header by which a sidecar says that it could not connect."""


class Answer(NamedTuple):
    """What one upstream says to one request."""

    word: str
    body: bytes

    @property
    def status(self) -> int:
        return int(self.word) if self.word.isdigit() else 200


class Seen(NamedTuple):
    """One request that reached an instance, and when."""

    instance: str
    at: float


@dataclass(slots=True)
class Stage:
    """What all upstreams of a process share."""

    seen: defaultdict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    gates: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    held: Counter[str] = field(default_factory=Counter)

    async def hold(self, gate: str) -> None:
        self.held[gate] += 1
        try:
            await self.gates[gate].wait()
        finally:
            self.held[gate] -= 1

    def let_go(self, gate: str) -> int:
        """Those that wait; who comes later waits for the next time."""
        self.gates.pop(gate, asyncio.Event()).set()
        return self.held[gate]


@dataclass(slots=True)
class Instance:
    """One upstream, whatever it speaks."""

    name: str
    stage: Stage = field(default_factory=Stage)
    attempts: Counter[str] = field(default_factory=Counter)
    act: str = WELL
    """To a request that asks for nothing."""
    health: str = WELL
    checks: list[Any] = field(default_factory=list)

    async def answer(self, path: str, headers: Headers) -> Answer:
        """After the behaviour that the request asks for."""
        asked = {name.lower(): value for name, value in headers}
        if asked.get("user-agent") in CHECKERS:
            return Answer(await self.checked(path, headers), b"")
        self.stage.seen[self.name].append(Seen(self.name, time.monotonic()))
        attempt, failed = self._counted(asked.get("x-test-fail", "/0"))
        slow, _, pause = asked.get("x-test-slow", "").rpartition("/")
        if delay := asked.get("x-test-delay") or (slow == self.name and pause):
            await asyncio.sleep(float(delay))
        word = await self._acted(asked.get("x-test-act"))
        said = {"instance": self.name, "path": path, "headers": headers, "attempt": attempt}
        return Answer("503" if failed else word, json.dumps(said).encode())

    async def checked(self, path: str, headers: Headers) -> str:
        """Somebody asks whether it is well."""
        word = await self._held(self.health.split("+"), self.name)
        self.checks.append({"path": path, "headers": headers, "word": word, "at": time.monotonic()})
        return word

    def _counted(self, asked: str) -> tuple[int, bool]:
        key, _, failures = asked.partition("/")
        self.attempts[key] += 1
        return self.attempts[key], self.attempts[key] <= int(failures)

    async def _acted(self, script: str | None) -> str:
        """`KEY/503,200`: 503 to the first that names KEY, 200 to all others, whichever instance they reach."""
        if script is None:
            return await self._held(self.act.split("+"), self.name)
        key, _, words = script.partition("/")
        seen = self.stage.seen[key]
        word = words.split(",")[: len(seen) + 1][-1]
        seen.append(Seen(self.name, time.monotonic()))
        return await self._held(word.split("+"), key)

    async def _held(self, words: Iterable[str], gate: str) -> str:
        last = WELL
        for word in words:
            if word == HOLD:
                await self.stage.hold(gate)
            else:
                last = self._sometimes(word)
        return last

    def _sometimes(self, word: str) -> str:
        said, _, often = word.partition("/")
        if not often:
            return said
        self.attempts[word] += 1
        return said if self.attempts[word] % int(often) == 0 else WELL
