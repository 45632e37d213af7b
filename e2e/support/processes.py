"""Child processes that end with the test, and waiting that is bounded."""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import IO, Self, TypeVar

ROOT = Path(__file__).resolve().parents[2]
POLL = 0.005
LAST_WORDS = 4000

Answer = TypeVar("Answer")


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
PORTS = range(10_000 + WORKER, 32_000, WORKERS)
"""Below those that the kernel gives to connections: a server that is started again would find its port taken by one.
No other worker's: between the moment a port is found free and the one somebody listens there, nobody else may have it.
"""
_order = cycle(random.sample(PORTS, len(PORTS)))
"""Each comes again after all others: who was given one may not listen there yet when the next one is asked for."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on; all different, because all are bound at once."""
    with ExitStack() as stack:
        return [_bound(stack.enter_context(socket.socket())) for _ in range(count)]


def _bound(one: socket.socket) -> int:
    for port in _order:
        with suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("it goes round")


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Ports of 127.0.0.1 that are given to nobody else until Envoys listen there, as the kernel lets them beside us."""
    with ExitStack() as stack:
        ports = free_ports(count)
        for port in ports:
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("127.0.0.1", port))
        yield ports


def wait_until(check: Callable[[], Answer], what: str, within: float = 30.0, every: float = POLL) -> Answer:
    """The first true answer of `check`. Without one `within` seconds the test fails, and says `what` it waited for.

    `every`: seconds between two that are asked for; more where an answer is dear.
    """
    deadline = time.monotonic() + within
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within} s: {what}; last answer: {answer!r}")
        time.sleep(every)
    return answer


class Child:
    """A running process of ours. Its standard error goes to `<logs>/<name>.log`, and its output too, unless `talks`:
    then its standard input and output are pipes, and it ends when the pipe does.

    Ends with its `with` block, and by its own process id alone.
    """

    def __init__(self, name: str, command: Sequence[str | Path], logs: Path, *, talks: bool = False) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        logs.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                text=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-LAST_WORDS:]

    def wait_ready(self, check: Callable[[], Answer], within: float = 60.0) -> Answer:
        """As `wait_until`; a process that ended, or is not ready in time, is shown with its last words."""

        def ready() -> Answer:
            if not self.alive:
                raise ChildProcessError(f"{self.name} ended with {self._process.returncode}")
            return check()

        try:
            return wait_until(ready, f"{self.name} is ready", within)
        except (TimeoutError, ChildProcessError) as error:
            error.add_note(self.last_words())
            self.kill()
            raise

    def say(self, line: str) -> None:
        print(line, file=self._pipe(self._process.stdin), flush=True)

    def hear(self) -> str:
        """The next line of a child that talks."""
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise ChildProcessError(f"{self.name} has nothing more to say:\n{self.last_words()}")
        return line

    def finish(self, within: float = 30.0) -> None:
        """Close the input of a child that talks, and wait for it to end in order."""
        self._pipe(self._process.stdin).close()
        if code := self._process.wait(within):
            raise ChildProcessError(f"{self.name} ended with {code}:\n{self.last_words()}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self, within: float = 30.0) -> int:
        """The exit code, once it has ended by itself."""
        return self._process.wait(within)

    def stop(self, within: float = 10.0) -> None:
        """SIGTERM, and SIGKILL if that does not help."""
        self._process.terminate()
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close_pipes()

    def kill(self) -> None:
        """SIGKILL: what a crash looks like."""
        self._process.kill()
        self._process.wait()
        self._close_pipes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None, f"{self.name} was not started to talk"
        return pipe
