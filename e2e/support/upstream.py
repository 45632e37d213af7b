"""Upstreams that say who they are and what they received; one process holds many."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.support.processes import Child


class Protocol(StrEnum):
    """What an upstream speaks, in the words of the records."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    GRPC = "grpc"


class Upstreams:
    """A process of upstreams, each on its own port of 127.0.0.1.

    A request may ask an upstream for a behaviour: `x-test-delay: 0.5` waits that many seconds before the answer, and
    `x-test-fail: KEY/2` fails the first two requests that name KEY.
    """

    def __init__(self, directory: Path, name: str = "upstreams") -> None:
        self.child = Child(name, [sys.executable, "-m", "e2e.support.upstream_process"], directory, talks=True)

    def start(self, instance: str, protocol: Protocol = Protocol.HTTP1) -> str:
        """The address of a new upstream that calls itself `instance`."""
        self.child.say(json.dumps({"instance": instance, "protocol": protocol}))
        return f"127.0.0.1:{json.loads(self.child.hear())['port']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.child.stop()
