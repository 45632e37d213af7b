"""The extensions of one module, in a process of their own: what they do there does not reach the server.

They are called for one resource at a time. One that takes too long is ended with the process, for a thread could not
be; the next call starts another. After that they rest for a while, so that many resources do not wait in turn.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from time import monotonic
from typing import Any

from xds_server.domain.errors import XdsServerError
from xds_server.extension import Context
from xds_server.resources.extensions import Failure, Outcome

WORKER = "xds_server.runtime.extension_worker"
LONGEST_LINE = 1 << 28
PATIENCE = 60.0
"""Seconds for everything that is not the extension's own work: to start, to read and to write the message."""
GRACE = 0.1
"""Seconds to read what has long been said."""
REST = 5.0
"""Seconds in which nobody calls an extension that took too long."""


class ExtensionUnusable(XdsServerError):
    """An extension that was asked for cannot be loaded."""


class _Ended(Exception):
    """The process is no more."""


class ExtensionProcess:
    """`limit`: seconds that one call may take. `takes`: the type of each function. Belongs to one event loop."""

    def __init__(self, module: str, functions: Sequence[str], limit: float) -> None:
        self.module = module
        self.functions = tuple(functions)
        self.takes: Mapping[str, str] = {}
        self._limit = limit
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._rests_until = 0.0

    @property
    def rest(self) -> float:
        """Seconds for which nobody calls it."""
        return max(0.0, self._rests_until - monotonic())

    async def start(self) -> None:
        """Load the extensions and learn what they take. Raises `ExtensionUnusable`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", WORKER, self.module, *self.functions),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,
            limit=LONGEST_LINE,
        )
        self._process = process
        try:
            said = await _hear(process, PATIENCE)
        except (TimeoutError, _Ended) as error:
            why = f"takes more than {PATIENCE:.0f} s to load" if isinstance(error, TimeoutError) else str(error)
            said = {"fault": why}
        if "fault" in said:
            await self.end()
            raise ExtensionUnusable(
                f"cannot load --extension {self.module}:{self.functions[0]}: {said['fault']}. "
                "A module is looked for on PYTHONPATH and in the current directory"
            )
        self.takes = said["takes"]

    async def change(self, function: str, body: bytes, context: Context) -> Outcome:
        """What an extension makes of an encoded resource."""
        name = f"{self.module}:{function}"
        async with self._turn:
            if self.rest:
                why = f"was not called, because it took more than {self._limit:g} s just before"
                return Failure(name, why, rest=self.rest)
            try:
                if self._process is None:
                    await self.start()
                return await self._ask(
                    name, {"function": function, "body": b64encode(body).decode(), "context": asdict(context)}
                )
            except ExtensionUnusable as error:
                return Failure(name, str(error))
            except _Ended as error:
                await self.end()
                return Failure(name, str(error))
            except asyncio.CancelledError:
                await self.end()
                raise

    async def _ask(self, name: str, order: dict[str, Any]) -> Outcome:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        limit, what = PATIENCE, "its resource takes more than {:g} s to read or write"
        said: dict[str, Any] = {}
        while "body" not in said and "fault" not in said:
            try:
                said = await _hear(process, limit)
            except TimeoutError:
                await self.end()
                self._rests_until = monotonic() + REST
                return Failure(name, what.format(limit))
            calling = said.get("step") == "calling"
            limit, what = (self._limit, "took more than {:g} s") if calling else (PATIENCE, what)
        if "fault" in said:
            return Failure(name, said["fault"], said["where"])
        return b64decode(said["body"])

    async def end(self) -> None:
        """End the process and what it started, whatever they do."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await process.stdout.read()
                await process.wait()


async def _hear(process: Process, limit: float) -> dict[str, Any]:
    try:
        return await _heard(process, limit)
    except TimeoutError:
        # It may have been this server that was busy for so long: then the answer is here already.
        return await _heard(process, GRACE)


async def _heard(process: Process, limit: float) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(limit):
        line = await process.stdout.readline()
        if not line:
            code = await process.wait()
            raise _Ended(f"its process ended with {code}")
    said: dict[str, Any] = json.loads(line)
    return said
