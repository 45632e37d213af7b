"""Extensions in commands: called once for a whole world, and then no more."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from xds_server.domain.problems import Problem
from xds_server.pipeline import Compilation, compile_world
from xds_server.records.admitted import Admission
from xds_server.records.world import World
from xds_server.resources.extensions import Call
from xds_server.runtime.extending import Extending
from xds_server.runtime.extensions import Caller, Extender, extender_of


class Once(Caller):
    """Waits until something has come of every call of a world."""

    def __init__(self, world: World, extender: Extender) -> None:
        self.extending = Extending(extender)
        compiled = compile_world(world, extensions=extender.known)
        self.extending.follow(compiled, world.apps)
        self._open = {call.key for gateway in compiled.gateways for call in compiled.calls_at(gateway)}
        self.done = asyncio.Event()
        self._look()

    @override
    def wants(self, call: Call) -> bool:
        return True

    @override
    def extended(self, call: Call) -> None:
        self._open.discard(call.key)
        self._look()

    def _look(self) -> None:
        if not self._open:
            self.done.set()


def extended(admission: Admission, targets: Sequence[str], limit: float) -> tuple[Compilation, tuple[Problem, ...]]:
    """What proxies would be told, and everything that is wrong. Raises `ExtensionUnusable`, in a group or alone."""
    return asyncio.run(_extended(admission, targets, limit))


async def _extended(
    admission: Admission, targets: Sequence[str], limit: float
) -> tuple[Compilation, tuple[Problem, ...]]:
    async with extender_of(targets, limit) as extender, asyncio.TaskGroup() as tasks:
        once = Once(admission.world, extender)
        working = tasks.create_task(extender.work(once))
        await once.done.wait()
        working.cancel()
        compiled = compile_world(admission.world, extensions=extender.known)
        once.extending.follow(compiled, admission.world.apps)
        return compiled, tuple(sorted({*admission.problems, *once.extending.problems(admission)}))
