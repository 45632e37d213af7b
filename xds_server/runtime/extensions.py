"""Extensions at work: each resource that asks for them is given to them once, until something about it changes.

A call that failed is made again, less and less often: what was wrong may have been elsewhere.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from xds_server.resources.extensions import Call, Extensions, Failure, Outcome, Slot
from xds_server.resources.results import result
from xds_server.runtime.extension_process import ExtensionProcess, ExtensionUnusable

SPARE = 4096
"""How much more is remembered than what is needed now: a rollback needs again what was needed before."""
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 300.0


class Caller(Protocol):
    """Who needs what extensions make."""

    def wants(self, call: Call) -> bool:
        """The resource still is what the call says."""

    def extended(self, call: Call) -> None:
        """Something has come of the call, or nobody wants it any more."""


class Extender:
    """Calls extensions for whoever compiles, and remembers what came of it. Belongs to one event loop.

    `known` is what compile looks things up in; it grows.
    """

    def __init__(self, processes: Sequence[ExtensionProcess] = ()) -> None:
        self._extensions = _by_name(processes)
        self._outcomes: dict[bytes, Outcome] = {}
        self._calls: dict[bytes, Call] = {}
        self._busy: set[bytes] = set()
        self._good: dict[Slot, bytes] = {}
        self._queue = asyncio.Queue[Call]()
        self._room = SPARE
        types = {name: process.takes[function] for name, (process, function) in self._extensions.items()}
        self.known = Extensions(types, self._outcomes, self._good)

    @property
    def failures(self) -> Iterator[tuple[Call, Failure]]:
        """Calls that failed, wanted or not."""
        for key in self._busy:
            outcome = self._outcomes.get(key)
            if isinstance(outcome, Failure):
                yield self._calls[key], outcome

    def remember(self, slot: Slot, body: bytes | None) -> None:
        """What was last made of a resource; None: it is no longer of use."""
        if body is None:
            self._good.pop(slot, None)
        else:
            self._good[slot] = body

    def want(self, calls: Iterable[Call]) -> None:
        """Make these calls, unless that was done or is being done."""
        for call in calls:
            if call.key not in self._busy and not isinstance(self._outcomes.get(call.key), bytes):
                self._busy.add(call.key)
                self._calls[call.key] = call
                self._queue.put_nowait(call)

    async def work(self, caller: Caller) -> None:
        """Make calls until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._see_to(await self._queue.get(), caller))

    async def _see_to(self, call: Call, caller: Caller) -> None:
        """Until it has succeeded, or nobody wants it any more."""
        pause = FIRST_PAUSE
        while caller.wants(call):
            outcome = await self.outcome(call)
            self._outcomes[call.key] = outcome
            if isinstance(outcome, bytes):
                break
            caller.extended(call)
            await asyncio.sleep(outcome.rest or pause)
            pause = pause if outcome.rest else min(2 * pause, LONGEST_PAUSE)
        else:
            self._outcomes.pop(call.key, None)
        self._busy.discard(call.key)
        self._make_room(caller)
        caller.extended(call)

    async def outcome(self, call: Call) -> Outcome:
        """What the extensions of the call make of the resource, each of what the one before it made."""
        body = call.body
        for name in call.extensions:
            if name not in self._extensions:
                has = ", ".join(sorted(full for full in self._extensions if ":" in full)) or "none"
                return Failure(name, f"this server has no such extension; it has {has}")
        for name in call.extensions:
            process, function = self._extensions[name]
            changed = await process.change(function, body, call.context)
            if isinstance(changed, Failure):
                return changed
            body = changed
        return result(call, body)

    def _make_room(self, caller: Caller) -> None:
        """Forget what nobody wants, when there is much of it."""
        if len(self._calls) > self._room:
            for key, call in list(self._calls.items()):
                if key not in self._busy and not caller.wants(call):
                    del self._calls[key]
                    self._outcomes.pop(key, None)
            self._room = len(self._calls) + SPARE


Extension = tuple[ExtensionProcess, str]
"""A function, and the process of its module."""


def _by_name(processes: Sequence[ExtensionProcess]) -> Mapping[str, Extension]:
    """By MODULE:FUNCTION, and by FUNCTION alone where that says which."""
    found = [(process, function) for process in processes for function in process.functions]
    short = [function for _, function in found]
    named = {f"{process.module}:{function}": (process, function) for process, function in found}
    return named | {function: (process, function) for process, function in found if short.count(function) == 1}


def _by_module(targets: Iterable[str]) -> Mapping[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for target in dict.fromkeys(targets):
        module, _, function = target.partition(":")
        if not module or not function:
            raise ExtensionUnusable(f"--extension {target!r} is not MODULE:FUNCTION")
        modules.setdefault(module, []).append(function)
    return modules


@asynccontextmanager
async def extender_of(targets: Iterable[str], limit: float) -> AsyncIterator[Extender]:
    """An extender of these extensions, all of them loaded. Raises `ExtensionUnusable`, in a group or alone."""
    processes = [ExtensionProcess(module, names, limit) for module, names in _by_module(targets).items()]
    try:
        async with asyncio.TaskGroup() as tasks:
            for process in processes:
                tasks.create_task(process.start())
        yield Extender(processes)
    finally:
        for process in processes:
            await process.end()
