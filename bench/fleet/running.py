"""A fleet in its own process, and the bare server in another, as their measuring parent sees them."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from sys import executable
from typing import Any

from bench.fleet.proxy import Behaviour
from e2e.support.processes import Child, free_ports

LIMIT = 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """When the first and the last of those who were watched had accepted, by `time.perf_counter`; in seconds.

    `bytes`: of the last one's response. `client_cpu`: what the fleet's process took for it.
    """

    first: float
    last: float
    bytes: int
    client_cpu: float


class Fleet:
    """Started by `fleet`. Every answer comes within `LIMIT`, or the process is killed and that is raised."""

    def __init__(self, child: Child) -> None:
        self._child = child

    @property
    def pid(self) -> int:
        return self._child.pid

    def connect(self, port: int, groups: Sequence[tuple[int, Behaviour]], seed: int = 1) -> None:
        """So many proxies of each behaviour connect to a server of this machine."""
        said = [{"count": count, **asdict(behaviour)} for count, behaviour in groups]
        self._say("connect", port=port, groups=said, seed=seed)
        self._hear("connected")

    def settle(self) -> float:
        """Wait until all have what they asked for; the time at which the last had."""
        at: float = self._hear("settled")["at"]
        return at

    def watch(self, type_url: str, name: str, count: int) -> None:
        """From now on, count those that accept this resource."""
        self._say("watch", type_url=type_url, name=name, count=count)
        self._hear("watching")

    def seen(self) -> Seen:
        """Wait until so many have accepted what is watched."""
        said = self._hear("seen")
        return Seen(said["first"], said["last"], said["bytes"], said["client_cpu"])

    def keep(self, file: Path) -> None:
        """Write the response that was seen last."""
        self._say("keep", file=str(file))
        self._hear("kept")

    def churn(self, every: float | None) -> None:
        """Each `every` seconds a proxy hangs up and connects anew; None: no more."""
        self._say("churn", every=every)

    def counts(self) -> dict[str, float]:
        """`accepted`, `refused`, `bytes`, `lost`, `reconnected`, `client_cpu`, since the process began."""
        self._say("tell")
        return {key: value for key, value in self._hear("counts").items() if key != "said"}

    def _say(self, do: str, **more: Any) -> None:
        self._child.say(json.dumps({"do": do, **more}))

    def _hear(self, what: str) -> dict[str, Any]:
        """The next answer of this kind. A fleet settles when it likes, also once that is of no interest."""
        while True:
            answer: dict[str, Any] = json.loads(_hear(self._child))
            if answer["said"] == what:
                return answer


@contextmanager
def fleet(directory: Path, name: str = "fleet") -> Iterator[Fleet]:
    """The process ends with the block. `directory` gets its log."""
    with Child(name, [executable, "-m", "bench.fleet.driver"], directory, talks=True) as child:
        yield Fleet(child)


class Bare:
    """The bare server, which sends what it is told to."""

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.port = port

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, count: int, file: Path) -> None:
        """The content of the file to so many of its streams."""
        self._child.say(f"{count} {file}")


@contextmanager
def bare_server(directory: Path) -> Iterator[Bare]:
    [port] = free_ports(1)
    with Child("bare", [executable, "-m", "bench.fleet.bare", str(port)], directory, talks=True) as child:
        assert _hear(child).strip() == "ready"
        yield Bare(child, port)


def _hear(child: Child) -> str:
    patience = threading.Timer(LIMIT, child.kill)
    patience.start()
    try:
        return child.hear()
    finally:
        patience.cancel()
