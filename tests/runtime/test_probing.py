"""Builds are asked until they have passed once: together, fairly, and only while somebody waits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from immutables import Map

from tests.records.folder import build
from tests.transport.test_health import Authority, http1, http2, listening
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref, identity, trust
from xds_server.records.documents import read_documents
from xds_server.records.models import Build, HealthCheck, Protocol, UpstreamTls
from xds_server.records.readiness import Question
from xds_server.records.world import AppWorld, World
from xds_server.runtime import probing
from xds_server.runtime.probing import Probing, over_the_network

SHOP = Ref("default", "shop")
WELL, ILL = "", "answered 503"


def question(*addresses: str, build: str = "b1", app: Ref = SHOP, **check: str) -> Question:
    return Question(
        BuildId(app, "web", build), addresses, Protocol.HTTP1, HealthCheck(**check), None, Ref("default", "web-1")
    )


class Instances:
    """What each address answers, by its name; `held` ones answer when they are let go."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.heard: list[Question] = []
        self.news = asyncio.Event()
        self.gates: dict[str, asyncio.Event] = {}
        self.now = self.most = 0

    async def ask(self, _: Question, address: str) -> str:
        self.asked[address] += 1
        self.now += 1
        self.most = max(self.most, self.now)
        self.news.set()
        try:
            await self.gates[address].wait() if address in self.gates else await asyncio.sleep(0)
        finally:
            self.now -= 1
        return self.answers.get(address, ILL)

    def hear(self, about: Question) -> None:
        self.heard.append(about)
        self.news.set()

    async def until(self, what: Callable[[], object]) -> None:
        while not what():
            self.news.clear()
            await self.news.wait()


@pytest.fixture
async def instances() -> Instances:
    return Instances()


@asynccontextmanager
async def asking(instances: Instances, wanted: Iterable[Question]) -> AsyncIterator[Probing]:
    made = Probing(instances.ask, instances.hear, pause=0.0)
    made.want(frozenset(wanted))
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(made.work())
        yield made
        work.cancel()


async def test_a_build_is_asked_until_one_of_its_instances_has_passed(instances: Instances) -> None:
    asked = question("a", "b")
    async with asking(instances, [asked]) as made:
        assert made.answer(asked) is None
        await instances.until(lambda: instances.heard)
        assert made.answer(asked) == f"{ILL}, {ILL}"

        instances.answers["b"] = WELL
        await instances.until(lambda: made.answer(asked) == WELL)
        assert instances.heard == [asked, asked], "the same answer is no news"
        count = instances.asked["b"]
        made.want(frozenset())
        await asyncio.sleep(0)
        assert instances.asked["b"] == count


async def test_what_has_passed_is_remembered_by_instance_and_check(instances: Instances) -> None:
    instances.answers["a"] = WELL
    asked = question("a")
    async with asking(instances, [asked]) as made:
        await instances.until(lambda: made.answer(asked) == WELL)
        made.want(frozenset())
    assert made.answer(question("a", "b")) == WELL
    assert made.answer(question("b")) is None
    assert made.answer(question("a", path="/healthz")) is None
    assert made.answer(question("a", build="b2")) is None


async def test_what_is_wanted_again_is_asked_again(instances: Instances) -> None:
    instances.answers["a"] = WELL
    asked = question("a")
    async with asking(instances, [asked]) as made:
        await instances.until(lambda: made.answer(asked) == WELL)
        made.want(frozenset())
        made.forget(World(), [SHOP])
        made.want(frozenset([asked]))
        await instances.until(lambda: instances.asked["a"] > 1)


async def test_what_is_placed_no_more_is_forgotten(instances: Instances) -> None:
    [document] = read_documents("b.yaml", build("web-1", "b1"))
    assert isinstance(document.record, Build)
    placed = World(Map({SHOP: AppWorld(SHOP, builds=Map({document.record.ref: document.record}))}))
    instances.answers["a"] = WELL
    asked = question("a")
    async with asking(instances, [asked]) as made:
        await instances.until(lambda: made.answer(asked) == WELL)
        made.forget(placed, [SHOP])
        assert made.answer(asked) == WELL
        made.forget(World(), [Ref("default", "other")])
        assert made.answer(asked) == WELL
        made.want(frozenset())
        made.forget(World(), [SHOP])
    assert made.answer(asked) is None


async def test_who_answers_nothing_keeps_nobody_from_being_asked(instances: Instances) -> None:
    silent = [question(f"silent-{number}", build=f"s{number}") for number in range(100)]
    instances.gates = {each.addresses[0]: asyncio.Event() for each in silent}
    instances.answers["a"] = WELL
    asked = question("a")
    async with asking(instances, silent) as made:
        await instances.until(lambda: len(instances.asked) == len(silent))
        made.want(frozenset([*silent, asked]))
        await instances.until(lambda: made.answer(asked) == WELL)


async def test_one_that_passed_ends_the_question_whatever_the_others_do(instances: Instances) -> None:
    instances.gates["silent"] = asyncio.Event()
    instances.answers["a"] = WELL
    asked = question("silent", "a")
    async with asking(instances, [asked]) as made:
        await instances.until(lambda: made.answer(asked) == WELL)
    assert instances.now == 0


async def test_a_build_of_many_instances_is_asked_a_few_at_a_time(instances: Instances) -> None:
    many = [f"i{number:02}" for number in range(10)]
    instances.answers["i09"] = WELL
    asked = question(*many)
    async with asking(instances, [asked]) as made:
        await instances.until(lambda: made.answer(asked) == WELL)
    assert instances.most == probing.TOGETHER
    assert set(instances.asked) == set(many)


async def test_a_question_that_nobody_wants_any_more_is_not_asked(instances: Instances) -> None:
    gate = instances.gates["a"] = asyncio.Event()
    asked, other = question("a"), question("b", build="b2")
    async with asking(instances, [asked]) as made:
        await instances.until(lambda: instances.asked["a"])
        made.want(frozenset([other]))
        await instances.until(lambda: other in instances.heard)
        gate.set()
    assert asked not in instances.heard
    assert instances.asked["a"] == 1


async def test_a_name_is_resolved() -> None:
    ask = over_the_network(dict)
    heard: list[bytes] = []
    async with listening(http1(200, heard)) as where:
        name = f"localhost:{where.port}"
        assert await ask(question(name), name) == WELL
    assert b"\r\nHost: localhost\r\n" in heard[0]
    nowhere = "web.invalid:80"
    assert await ask(question(nowhere), nowhere) == "web.invalid:80 is a name that nobody knows"


async def test_tls_uses_the_secrets_of_the_record() -> None:
    instances, servers = Authority(), Authority()
    record, server = Ref("default", "web-1"), instances.server("web.internal", clients=servers, protocols=("h2",))
    tls = UpstreamTls.model_validate(
        {"serverName": "web.internal", "ca": "ca.pem", "certificate": "c.pem", "privateKey": "c.key"}
    )
    secrets = {trust(record): instances.trusted, identity(record): servers.shown}
    ask = over_the_network(lambda: secrets)
    async with listening(http2(200), server) as where:
        asked = question(str(where))._replace(protocol=Protocol.HTTP2, tls=tls)
        assert await ask(asked, str(where)) == WELL
        del secrets[identity(record)]
        assert await ask(asked, str(where)) == f"{where} cannot be asked: its certificates cannot be read"
