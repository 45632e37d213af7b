"""Who is called how often, with processes that only pretend."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.extension import Context
from xds_server.messages.codec import encode
from xds_server.messages.envoy import Cluster
from xds_server.resources.extensions import Call, Failure, Outcome, Slot
from xds_server.runtime import extensions
from xds_server.runtime.extension_process import ExtensionUnusable
from xds_server.runtime.extensions import Caller, Extender, extender_of
from xds_server.snapshot import TypeUrl

CONTEXT = Context("AppDeployment", "default", "v1", {}, "")
BODY = encode(Cluster(name="it"))
CHANGED = encode(Cluster(name="it", alt_stat_name="changed"))


@dataclass(slots=True)
class Pretending:
    """A process of a module. `answers` are its outcomes in turn; the last one stays."""

    module: str
    answers: list[Outcome]
    functions: tuple[str, ...] = ("one", "two")
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def takes(self) -> dict[str, str]:
        return dict.fromkeys(self.functions, TypeUrl.CLUSTER.value)

    async def change(self, function: str, body: bytes, _context: Context) -> Outcome:
        self.asked.append((function, body))
        await asyncio.sleep(0)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Waiting(Caller):
    """Wants everything but what it is told not to, and can be waited for."""

    def __init__(self) -> None:
        self.unwanted: set[bytes] = set()
        self.heard = asyncio.Queue[bytes]()

    @override
    def wants(self, call: Call) -> bool:
        return call.key not in self.unwanted

    @override
    def extended(self, call: Call) -> None:
        self.heard.put_nowait(call.key)


def call(key: bytes, *names: str) -> Call:
    return Call(key, Slot(TypeUrl.CLUSTER.value, "", "it"), BODY, names or ("m:one",), CONTEXT, Ref("default", "shop"))


def extender_with(*processes: Any) -> Extender:
    return Extender(processes)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "FIRST_PAUSE", 0.001)


async def while_working(extender: Extender, caller: Waiting, story: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        working = tasks.create_task(extender.work(caller))
        await story()
        working.cancel()


async def test_a_call_is_made_once() -> None:
    process, caller = Pretending("m", [CHANGED]), Waiting()
    extender = extender_with(process)

    async def story() -> None:
        extender.want([call(b"1"), call(b"1")])
        await caller.heard.get()
        extender.want([call(b"1")])
        extender.want([call(b"2")])
        await caller.heard.get()

    await while_working(extender, caller, story)
    assert process.asked == [("one", BODY)] * 2
    assert extender.known.outcomes == {b"1": CHANGED, b"2": CHANGED}
    assert list(extender.failures) == []


async def test_each_extension_is_given_what_the_one_before_it_made() -> None:
    process = Pretending("m", [CHANGED])

    assert await extender_with(process).outcome(call(b"1", "m:one", "two")) == CHANGED
    assert process.asked == [("one", BODY), ("two", CHANGED)]


async def test_a_name_that_nobody_has_stops_the_call_before_it_is_made() -> None:
    process = Pretending("m", [BODY])
    found = await extender_with(process).outcome(call(b"1", "m:one", "three"))

    assert found == Failure("three", "this server has no such extension; it has m:one, m:two")
    assert process.asked == []


async def test_a_short_name_that_two_modules_have_says_nothing() -> None:
    extender = extender_with(Pretending("m", [BODY]), Pretending("n", [BODY], functions=("one",)))

    assert set(extender.known.types) == {"m:one", "m:two", "n:one", "two"}


@pytest.mark.usefixtures("_impatient")
async def test_a_failed_call_is_made_again_until_it_succeeds() -> None:
    process, caller = Pretending("m", [Failure("m:one", "no"), Failure("m:one", "rests", rest=0.001), BODY]), Waiting()
    extender = extender_with(process)

    async def story() -> None:
        extender.want([call(b"1")])
        await caller.heard.get()
        assert [(each.key, failure.why) for each, failure in extender.failures] == [(b"1", "no")]
        await caller.heard.get()
        await caller.heard.get()

    await while_working(extender, caller, story)
    assert extender.known.outcomes == {b"1": BODY}
    assert list(extender.failures) == []


@pytest.mark.usefixtures("_impatient")
async def test_nobody_is_called_for_what_is_not_wanted_any_more() -> None:
    caller = Waiting()
    extender = extender_with(Pretending("m", [Failure("m:one", "no")]))

    async def story() -> None:
        extender.want([call(b"1")])
        await caller.heard.get()
        caller.unwanted.add(b"1")
        while b"1" in extender.known.outcomes:
            await caller.heard.get()

    await while_working(extender, caller, story)
    assert list(extender.failures) == []


async def test_what_nobody_wants_is_forgotten_when_there_is_much_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "SPARE", 3)
    caller = Waiting()
    extender = extender_with(Pretending("m", [BODY]))

    async def story() -> None:
        for key in (bytes([number]) for number in range(20)):
            extender.want([call(key)])
            await caller.heard.get()
            caller.unwanted.add(key)

    await while_working(extender, caller, story)
    assert len(extender.known.outcomes) <= 8


async def test_what_is_not_module_and_function_is_refused() -> None:
    with pytest.raises(ExtensionUnusable, match="'it' is not MODULE:FUNCTION"):
        async with extender_of(["it"], 1.0):
            pass
