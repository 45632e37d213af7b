"""Upstreams that say who they are and what they received; one process holds many."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from e2e.support.behaviours import Seen
from e2e.support.client import Echo, echo_of
from e2e.support.processes import Child


class Protocol(StrEnum):
    """What an upstream speaks, in the words of the records."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    GRPC = "grpc"


class Check(NamedTuple):
    """What an instance answered to a health check, when, and how it was asked."""

    word: str
    at: float
    asked: Echo


class Upstreams:
    """A process of upstreams, each on its own port of 127.0.0.1.

    A request may ask an upstream for a behaviour: `x-test-delay: 0.5` waits that many seconds before the answer,
    `x-test-slow: NAME/0.5` only at the instance of that name,
    `x-test-fail: KEY/2` fails the first two requests that name KEY, and `x-test-act: KEY/reset,503,200` says what is
    done with the first, the second and all later ones, at whatever instance (`behaviours.py` has the words).
    """

    def __init__(self, directory: Path, name: str = "upstreams") -> None:
        self.child = Child(name, [sys.executable, "-m", "e2e.support.upstream_process"], directory, talks=True)

    def start(self, instance: str, protocol: Protocol = Protocol.HTTP1) -> str:
        """The address of a new upstream that calls itself `instance`."""
        return f"127.0.0.1:{self._ask(start=instance, protocol=protocol)}"

    def tell(self, instance: str, act: str = "200", health: str = "200") -> None:
        """How it answers from now on: requests that ask for nothing, and health checks."""
        self._ask(tell=instance, act=act, health=health)

    def seen(self, key: str) -> list[Seen]:
        """The requests that named this key, or reached the instance of this name, in their order."""
        return [Seen(*each) for each in self._ask(seen=key)]

    def checks(self, instance: str) -> list[Check]:
        return [
            Check(each["word"], each["at"], echo_of({**each, "instance": instance}))
            for each in self._ask(checks=instance)
        ]

    def held(self, gate: str) -> int:
        """How many requests wait at this instance, or under this key."""
        return int(self._ask(held=gate))

    def let_go(self, gate: str) -> None:
        """They wait no longer."""
        self._ask(let_go=gate)

    def _ask(self, **order: Any) -> Any:
        self.child.say(json.dumps(order))
        return json.loads(self.child.hear())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stop()
