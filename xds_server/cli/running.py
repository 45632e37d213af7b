"""`xds-server run`: an Envoy that finishes what it has before it ends.

Envoy itself ends at once on SIGTERM, and cuts what is under way. Here it is told to drain first, by its admin
interface; `draining` decides when it may end.
"""

import asyncio
import ipaddress
import json
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

import structlog

from xds_server.cli.draining import FILTER, Patience, Progress, Seen, Step, next_step, seen_in
from xds_server.cli.envoys import NoEnvoy, find_envoy
from xds_server.domain.addresses import Address
from xds_server.domain.errors import XdsServerError

log = structlog.get_logger()

ENDS = (signal.SIGTERM, signal.SIGINT)
PASSED = (signal.SIGHUP, signal.SIGUSR1)
"""Envoy opens its access logs anew on SIGUSR1."""
POLL = 0.1
"""Seconds between two looks at Envoy's counters: nothing tells when the last request is over."""
ADMIN_ANSWERS_WITHIN = 2.0
DRAIN = ("/healthcheck/fail", "/drain_listeners?graceful&skip_exit")
"""The first makes `/ready` answer 503 and every answer close its connection, now; the second alone would do so for one
answer in a hundred after six seconds, and only for all after ten minutes (`--drain-time-s`)."""
REFUSE = "/drain_listeners"
REFUSE_CALLERS = "/drain_listeners?inboundonly"
"""At a sidecar: what its application still answers may need a call."""


class NoAdmin(XdsServerError):
    """Envoy could not be told to drain."""


class Command(NamedTuple):
    """Which Envoy is run, with which bootstrap and arguments. `admin`: where it is told to drain; `refuse`: how it is
    told to take no new connections.
    """

    binary: str
    bootstrap: Path
    admin: Address
    refuse: str
    arguments: tuple[str, ...] = ()


def command(envoy: str, file: Path, arguments: Sequence[str]) -> Command:
    """Raises `NoEnvoy` or `NoAdmin`: it cannot be run, or could not be drained."""
    try:
        said = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise NoAdmin(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise NoAdmin(f"{file} is no bootstrap in JSON: {error}") from None
    admin = _admin(file, said)
    refuse = REFUSE_CALLERS if _role(said) == "sidecar" else REFUSE
    return Command(find_envoy(envoy), file, admin, refuse, tuple(arguments))


def _role(said: Any) -> object:
    try:
        return said["node"]["metadata"]["role"]
    except (KeyError, TypeError):
        return None


def _admin(file: Path, said: Any) -> Address:
    try:
        where = said["admin"]["address"]["socket_address"]
        address = Address(str(where["address"]), int(where["port_value"]))
    except (KeyError, TypeError, ValueError):
        raise NoAdmin(
            f"{file} has no admin interface, by which Envoy is told to drain:"
            " print it with xds-server bootstrap ... --admin-port 9901"
        ) from None
    if not _is_loopback(address.host):
        raise NoAdmin(f"{file} has its admin interface on {address.host}, where others can reach it: use 127.0.0.1")
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def run_envoy(what: Command, patience: Patience) -> int:
    """Envoy's exit code; 128 and the number of the signal that ended it."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (*ENDS, *PASSED):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    process = await _start(what)
    async with asyncio.TaskGroup() as tasks:
        obeying = tasks.create_task(_obey(process, signals, what, patience))
        code = await process.wait()
        obeying.cancel()
    log.info("envoy ended", code=code)
    return code if code >= 0 else 128 - code


async def _start(what: Command) -> Process:
    """In a session of its own: Ctrl-C is for us, and would end Envoy at once. Without hot restart, of which nothing is
    left if we are the ones who start it, several run on one machine.
    """
    options = ("-c", str(what.bootstrap), "--disable-hot-restart", *what.arguments)
    try:
        return await asyncio.create_subprocess_exec(what.binary, *options, start_new_session=True)
    except OSError as error:
        raise NoEnvoy(f"{what.binary} cannot be started: {error.strerror}") from None


async def _obey(process: Process, signals: asyncio.Queue[int], what: Command, patience: Patience) -> None:
    async with asyncio.TaskGroup() as tasks:
        draining: asyncio.Task[None] | None = None
        while True:
            number = await signals.get()
            if number in PASSED:
                _signal(process, number)
            elif draining is None:
                draining = tasks.create_task(_drain(process, what, patience))
            elif not draining.done() and draining.cancel():
                # Told once: a second time it would die of it, in the middle of telling what it has counted.
                _signal(process, signal.SIGTERM)


async def _drain(process: Process, what: Command, patience: Patience) -> None:
    log.info("draining", drain=patience.drain, quiet=patience.quiet)
    if all([await _told(what.admin, path) for path in DRAIN]):
        await _drained(what, patience)
    else:
        log.warning("cannot be told to drain", admin=str(what.admin))
    _signal(process, signal.SIGTERM)


def _signal(process: Process, number: int) -> None:
    if process.returncode is None:
        process.send_signal(number)


async def _drained(what: Command, patience: Patience) -> None:
    """Return when Envoy may end."""
    clock = asyncio.get_running_loop().time
    progress, step = Progress(clock(), clock()), Step.WAIT
    seen: Seen | None = None
    while step is not Step.END:
        await asyncio.sleep(POLL)
        text = await asyncio.to_thread(_asked, "GET", what.admin, f"/stats?filter={quote(FILTER)}")
        seen = None if text is None else seen_in(text)
        progress, step = next_step(patience, progress, seen, clock())
        if step is Step.REFUSE:
            log.info("new connections are refused", **_said(seen))
            await _told(what.admin, what.refuse)
    log.info("drained", seconds=round(clock() - progress.started, 1), **_said(seen))


def _said(seen: Seen | None) -> dict[str, Any]:
    return {} if seen is None else {"requests": seen.active, "connections": seen.connections}


async def _told(admin: Address, path: str) -> bool:
    return await asyncio.to_thread(_asked, "POST", admin, path) is not None


def _asked(method: str, admin: Address, path: str) -> str | None:
    """What the admin interface answers; None if it does not."""
    request = Request(f"http://{admin}{path}", method=method)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=ADMIN_ANSWERS_WITHIN) as answer:
            return str(answer.read(), "utf-8")
    except (URLError, OSError, HTTPException):
        return None
