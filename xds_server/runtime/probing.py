"""Builds are asked whether they are well, by this server itself, while a release waits for the answer.

Each is asked by a task of its own, a few of its instances at a time, again and again and less and less often, until one
has passed. Who is asked for the first time does not wait behind those who have not passed yet. What has passed is
remembered by instance, for as long as the build is placed: one instance more is no new question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Set
from socket import SOCK_STREAM

from xds_server.domain.addresses import Address, is_ip, read_address
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref, identity, trust
from xds_server.domain.words import few
from xds_server.records.models import Protocol
from xds_server.records.readiness import Question
from xds_server.records.secrets import Secret
from xds_server.records.world import World
from xds_server.resources.health_checks import host_of
from xds_server.resources.upstreams import Upstream
from xds_server.transport.health import Asked, ask, tls_context

TOGETHER = 4
"""Instances of one build that are asked at a time."""
FIRST, AGAIN = 256, 64
"""Questions on their way at a time: to those who are asked for the first time, and to all others."""
PAUSE, LONGEST = 0.1, 2.0
"""Seconds before a build is asked again: at first, and at most."""
SHOWN = 3
"""Instances of which it is said why they have not passed; the rest are counted."""

Ask = Callable[[Question, str], Awaitable[str]]
"""Asks one instance. Empty: it is well; else why not."""
How = tuple[str, Protocol, object, object]
"""An instance, and how it was asked."""


class Probing:
    """`heard` is called when there is another answer than before. Belongs to one event loop."""

    def __init__(self, ask_one: Ask, heard: Callable[[Question], None], pause: float = PAUSE) -> None:
        self._ask_one = ask_one
        self._heard = heard
        self._pause = pause
        self._wanted: Set[Question] = frozenset()
        self._news = asyncio.Event()
        self._said: dict[Question, str] = {}
        self._well: dict[Ref, dict[BuildId, set[How]]] = {}
        self._first, self._again = asyncio.Semaphore(FIRST), asyncio.Semaphore(AGAIN)

    def answer(self, question: Question) -> str | None:
        """Empty: an instance has passed. None: none has answered yet."""
        passed = self._well.get(question.build.app, {}).get(question.build, ())
        return "" if any(each in passed for each in _hows(question)) else self._said.get(question)

    def want(self, questions: Set[Question]) -> None:
        """These are to be asked from now on, and no others."""
        if questions != self._wanted:
            self._wanted = questions
            self._said = {each: words for each, words in self._said.items() if each in questions}
            self._news.set()

    def forget(self, world: World, apps: Iterable[Ref]) -> None:
        """What is placed no more in these apps."""
        for app in self._well.keys() & apps:
            placed = world.app(app)
            left = {each: how for each, how in self._well[app].items() if placed.placed(each.component, each.build)}
            if left:
                self._well[app] = left
            else:
                del self._well[app]

    async def work(self) -> None:
        """Ask whatever is wanted."""
        asking: dict[Question, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._news.wait()
                self._news.clear()
                for question in asking.keys() - self._wanted:
                    asking.pop(question).cancel()
                for question in self._wanted:
                    if question not in asking or asking[question].done():
                        asking[question] = tasks.create_task(self._ask(question))

    async def _ask(self, question: Question) -> None:
        pause, room = self._pause, self._first
        while words := await self._round(question, room):
            self._hear(question, words)
            await asyncio.sleep(pause)
            pause, room = min(2 * pause, LONGEST), self._again
        self._hear(question, "")

    async def _round(self, question: Question, room: asyncio.Semaphore) -> str:
        """Ask its instances until one has passed."""
        words: list[str] = []
        for some in _parts(question.addresses):
            async with asyncio.TaskGroup() as tasks:
                asked = {each: tasks.create_task(self._one(question, each, room)) for each in some}
                await _first_well(asked.values())
            passed = [each for each, task in asked.items() if _is_well(task)]
            if passed:
                known = self._well.setdefault(question.build.app, {}).setdefault(question.build, set())
                known.update(_how(question, each) for each in passed)
                return ""
            words += [task.result() for task in asked.values()]
        return few(words, SHOWN)

    async def _one(self, question: Question, address: str, room: asyncio.Semaphore) -> str:
        async with room:
            return await self._ask_one(question, address)

    def _hear(self, question: Question, words: str) -> None:
        if question in self._wanted and self._said.get(question) != words:
            self._said[question] = words
            self._heard(question)


async def _first_well(asked: Collection[asyncio.Task[str]]) -> None:
    """Once one has passed nobody waits for the others."""
    for each in asyncio.as_completed(asked):
        if not await each:
            break
    for task in asked:
        task.cancel()


def _is_well(asked: asyncio.Task[str]) -> bool:
    return not asked.cancelled() and not asked.result()


def _parts(addresses: Collection[str]) -> Iterator[list[str]]:
    known = list(addresses)
    return (known[start : start + TOGETHER] for start in range(0, len(known), TOGETHER))


def _hows(question: Question) -> Iterator[How]:
    return (_how(question, each) for each in question.addresses)


def _how(question: Question, address: str) -> How:
    return address, question.protocol, question.check, question.tls


def over_the_network(secrets: Callable[[], Mapping[str, Secret]]) -> Ask:
    """Asks as a proxy would. `secrets` are those of the records now."""

    async def ask_one(question: Question, address: str) -> str:
        asked = _asked(question, secrets())
        if isinstance(asked, str):
            return f"{address} {asked}"
        words = f"{address} is a name that nobody knows"
        for instance in await _instances(address):
            words = await ask(instance, asked, question.check.timeout.total_seconds())
            if not words:
                break
        return words

    return ask_one


async def _instances(address: str) -> list[Address]:
    """Itself, or those that a name has."""
    said = read_address(address)
    if said is None or is_ip(said.host):
        return [said] if said is not None else []
    resolve = asyncio.get_running_loop().getaddrinfo
    try:
        async with asyncio.timeout(LONGEST):
            found = await resolve(said.host, said.port, type=SOCK_STREAM)
    except (OSError, TimeoutError):
        return []
    return [Address(str(where[0]), said.port) for *_, where in found]


def _asked(question: Question, secrets: Mapping[str, Secret]) -> Asked | str:
    """How it is asked, or why it cannot be."""
    check, tls, http2 = question.check, question.tls, question.protocol is not Protocol.HTTP1
    names = tuple(each for each in question.addresses if not _is_instance(each))
    upstream = Upstream(question.protocol, check, tls, question.record, names)
    service = check.service if question.protocol is Protocol.GRPC else None
    host = host_of(question.build, upstream, check)
    if tls is None:
        return Asked(host, check.path, http2, service)
    trusted, shown = secrets.get(trust(question.record)), secrets.get(identity(question.record))
    if (tls.ca and trusted is None) or (tls.certificate and shown is None):
        return "cannot be asked: its certificates cannot be read"
    context = tls_context(trusted, shown, http2=http2)
    return Asked(host, check.path, http2, service, context, tls.server_name)


def _is_instance(address: str) -> bool:
    said = read_address(address)
    return said is not None and is_ip(said.host)
