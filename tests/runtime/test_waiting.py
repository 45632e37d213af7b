"""A server in this process, a proxy that answers when it is told to, and who waits."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest

from tests.protocol.worlds import CDS, RDS
from tests.records.folder import build, deployment, documents, release, shop_in
from tests.runtime.test_serve import LOOPBACK, ready
from tests.transport.test_server import Client
from xds_server.cli.demo import free_ports
from xds_server.cli.waiting import awaited_in
from xds_server.difference.history import Word
from xds_server.domain.addresses import Address
from xds_server.domain.names import Ref
from xds_server.runtime.control import Control
from xds_server.runtime.serve import Settings, serving
from xds_server.runtime.steering import Steering

PATIENCE = 10
SHOP_REF, LATER_REF, NEW_REF = Ref("default", "shop"), Ref("default", "later"), Ref("default", "new")


@dataclass
class Proxy:
    """A SotW client that takes routes, and if it asks for them clusters. It answers when `accept` or `refuse` is
    called."""

    client: Client
    type_url: str = RDS
    nonce: str = ""
    version: str = ""

    async def routes(self) -> None:
        """Read the next response."""
        response = await self.client.read()
        self.type_url, self.nonce, self.version = response.type_url, response.nonce, response.version_info

    async def clusters(self) -> None:
        """Take all clusters, from now on."""
        await self.client.ask(CDS)
        await self.routes()
        await self.accept()

    async def accept(self) -> None:
        await self._answer(version_info=self.version)

    async def refuse(self, why: str) -> None:
        await self._answer(error_detail={"message": why})

    async def _answer(self, **said: Any) -> None:
        names = ("edge/http",) if self.type_url == RDS else ()
        await self.client.ask(self.type_url, *names, response_nonce=self.nonce, **said)


@dataclass
class House:
    """A running server, its folder, and its HTTP interface."""

    control: Control
    records: Path
    xds: int
    admin: int

    @asynccontextmanager
    async def proxy(self, name: str = "envoy-1") -> AsyncIterator[Proxy]:
        """Connected, and in sync with what there is."""
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{self.xds}") as channel:
            proxy = Proxy(Client(channel, "sotw", name))
            await proxy.client.ask(RDS, "edge/http")
            await proxy.routes()
            await proxy.accept()
            yield proxy

    def write(self, name: str, text: str) -> None:
        draft = self.records / f".{name}"
        draft.write_text(text, "utf-8")
        draft.rename(self.records / name)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something has happened of which the ledger hears, too."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                await self.control.books.change()

    async def somebody_waits(self) -> None:
        """What a request has begun to wait for can be seen in no other way."""
        async with asyncio.timeout(PATIENCE):
            while not self.control.books.awaited:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async def get(self, path: str, status: int = 200) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{LOOPBACK}:{self.admin}{path}") as answer,
        ):
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        url = f"http://{LOOPBACK}:{self.admin}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def why(self, name: str) -> str:
        """What is said at once to who waits for a release."""
        return str((await self.get(f"/releases/{name}/wait?timeout=0"))["why"])

    async def wait(self, question: str = "", name: str = "shop") -> dict[str, Any]:
        found: dict[str, Any] = await self.get(f"/releases/{name}/wait?timeout={PATIENCE}{question}")
        return found


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


@asynccontextmanager
async def house(records: Path) -> AsyncIterator[House]:
    xds, admin = free_ports(2)
    settings = Settings(records, records.parent / "state", Address(LOOPBACK, xds), Address(LOOPBACK, admin))
    async with serving(settings) as control:
        await ready(admin)
        yield House(control, records, xds, admin)


async def test_waiting_ends_when_the_proxy_accepts(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        first = await here.wait()
        assert (first["verdict"], first["why"]) == ("live", "1 of 1 accepted")
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        await proxy.routes()
        waiting = asyncio.create_task(here.wait())  # noqa: TID251 - beside the proxy
        await proxy.accept()
        second = await waiting

        assert (second["verdict"], second["entry"]["number"]) == ("live", first["entry"]["number"] + 1)
        told = await here.get("/releases/shop")
        assert [each["state"] for each in told["entries"]] == ["live", "replaced"]
        assert told["current"]["proxies"] == [{"proxy": "envoy-1", "gateway": "edge", "state": "accepted", "why": ""}]
        assert [each["release"] for each in await here.get("/releases")] == ["shop"]
        assert await here.get("/releases?after=shop") == []


async def test_waiting_ends_when_the_proxy_refuses(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        await proxy.routes()
        await proxy.refuse("bad routes")

        found = await here.wait(f"&content={here.control.books.ledger.content(SHOP_REF)}")
        assert found["verdict"] == "refused"
        refusal = "Gateway/default/edge: proxy envoy-1 refuses RouteConfiguration edge/http: bad routes"
        counted = "0 of 1 accepted, 1 refused"
        assert (found["why"], found["entry"]["status"]) == (f"{refusal} ({counted})", f"{counted}: bad routes")
        [said] = (await here.get("/proxies"))["proxies"]
        assert (said["id"], said["delivery"], said["because"], said["inSync"]) == ("envoy-1", "full", "SotW", False)
        assert said["lastRefusal"]["reason"] == "bad routes"
        detail = await here.get("/proxies/envoy-1")
        assert [each["status"] for each in detail["resources"] if each["type"] == "RouteConfiguration"] == ["error"]


async def test_what_is_replaced_meanwhile_is_superseded(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        await proxy.routes()
        waiting = asyncio.create_task(here.wait())  # noqa: TID251 - beside the records
        await here.somebody_waits()
        here.write("shop.yaml", release("shop", "shop.test", "new.test", to="v2"))

        found = await waiting
        assert found["verdict"] == "superseded"
        assert (await here.wait(f"&content={found['content']}"))["verdict"] == "superseded"
        assert found["inForce"]["number"] == found["entry"]["number"] + 1
        path = f"/releases/shop/wait?timeout=0&content={found['content']}"
        gone = await here.get(f"{path}&since=2000-01-01T00:00:00Z")
        assert (gone["verdict"], gone["entry"]["number"]) == ("superseded", found["entry"]["number"])
        assert gone["why"].startswith("it was replaced before it was asked for (")
        later = await here.get(f"{path}&since=2100-01-01T00:00:00Z")
        assert (later["verdict"], later["why"]) == ("pending", "it has not come into force yet")
        assert later["inForce"] == gone["inForce"]


async def test_a_record_that_is_held_back_is_refused_with_the_problem(records: Path) -> None:
    async with house(records) as here, here.proxy():
        assert (await here.wait())["verdict"] == "live"
        here.write("shop.yaml", release("shop", "shop.test", to="v9"))
        await here.until(lambda: bool(here.control.problems))

        found = await here.wait()
        assert found["verdict"] == "refused"
        assert "[UnknownDeployment]" in found["why"]
        assert "[UnknownDeployment]" in (await here.get("/releases/shop"))["refused"]
        assert (found["entry"], found["inForce"]["state"]) == (None, "live")
        assert found["content"] not in ("", found["inForce"]["content"]), "the content that is refused"
        assert (await here.wait(f"&content={found['content']}"))["verdict"] == "refused"
        good = await here.wait(f"&content={found['inForce']['content']}")
        assert (good["verdict"], good["inForce"]) == ("live", None), "last good is in force"


async def test_a_release_that_waits_says_for_what_and_is_refused_once_it_has_failed(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        assert (await here.wait())["verdict"] == "live"
        here.write("v3.yaml", deployment("v3", "b3"))
        deadline = {"policy": {"activationDeadline": "1h"}}
        here.write("shop.yaml", release("shop", "shop.test", to="v3", **deadline))
        await here.until(lambda: bool(here.control.admission.pending))

        lacks = "component web of v3 has no endpoint that takes requests (build b3)"
        found = await here.get("/releases/shop/wait?timeout=0")
        assert (found["verdict"], found["entry"], found["inForce"]["state"]) == ("pending", None, "live")
        assert lacks in found["why"]
        assert "[Pending]" in found["why"]
        wanted = f"&content={found['content']}"
        assert (await here.get(f"/releases/shop/wait?timeout=0{wanted}"))["verdict"] == "pending"

        waiting = asyncio.create_task(here.wait(wanted))  # noqa: TID251 - beside the proxy
        await here.somebody_waits()
        here.write("b3.yaml", build("web-3", "b3"))
        await proxy.routes()
        await proxy.accept()
        assert (await waiting)["verdict"] == "live"

        here.write("v4.yaml", deployment("v4", "b4"))
        here.write("shop.yaml", release("shop", "shop.test", to="v4", policy={"activationDeadline": "0s"}))
        await here.until(lambda: bool(here.control.admission.pending))
        failed = await here.wait()
        assert failed["verdict"] == "refused"
        assert "[ActivationFailed]" in failed["why"]


async def test_nobody_is_connected(records: Path) -> None:
    async with house(records) as here:
        found = await here.get("/releases/shop/wait?timeout=0")

        assert (found["verdict"], found["entry"]["state"]) == ("no proxies", "no proxies")
        assert found["why"] == "no proxy of its gateways is connected: edge"
        assert found["entry"]["status"] == "no proxy is connected"


async def test_a_cluster_that_the_release_needs_is_refused(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        await proxy.clusters()
        new = documents(build("web-3", "b3"), deployment("v3", "b3"), release("shop", "shop.test", to="v3"))
        here.write("shop.yaml", new)
        await proxy.routes()
        assert proxy.type_url == CDS
        await proxy.refuse("v3/web: no such way")

        found = await here.wait()
        assert found["verdict"] == "refused"
        why = "proxy envoy-1 refuses Cluster v3/web: v3/web: no such way"
        counted = "0 of 1 accepted, 1 refused"
        assert found["why"] == f"AppDeployment/default/v3, Build/default/web-3: {why} ({counted})"
        told = await here.get("/releases/shop")
        assert [told["current"]["state"], told["entries"][0]["state"]] == ["refused", "refused"]
        assert (await here.get("/releases"))[0]["refusal"] == told["current"]["refusal"] != ""


async def test_what_was_refused_stays_refused_when_the_proxy_is_gone(records: Path) -> None:
    async with house(records) as here, here.proxy("one") as one, here.proxy("two") as two:
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        reads = {asyncio.create_task(each.routes()): each for each in (one, two)}  # noqa: TID251 - one of them is first
        [first], [second] = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        await reads[first].refuse("bad routes")
        await here.until(lambda: "Refused" in {each.reason for each in here.control.problems})
        reads[first].client.call.cancel()
        await here.until(lambda: len(list(here.control.connections)) == 1)

        found = await here.wait()
        assert (found["verdict"], found["entry"]["counts"]["refused"]) == ("refused", 0)
        assert "refuses RouteConfiguration edge/http: bad routes" in found["why"]
        [left] = found["entry"]["proxies"]
        assert left["state"] == "pending"
        assert left["why"].startswith("it is not sent it: Gateway/default/edge: proxy")
        second.cancel()  # and with it its stream


async def test_what_has_not_been_read_is_waited_for(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        waiting = asyncio.create_task(here.wait(name="later"))  # noqa: TID251 - beside the records
        await here.somebody_waits()
        here.write("later.yaml", release("later", "later.test"))
        await here.until(lambda: here.control.books.ledger.content(LATER_REF) is not None)

        assert (await here.get("/releases/later/wait?timeout=0"))["verdict"] == "pending"
        await proxy.routes()
        await proxy.accept()
        assert (await waiting)["verdict"] == "live"
        assert await here.why("never") == "there is no release 'never' yet; there is later, shop"
        assert await here.why("shpo") == "there is no release 'shpo' yet; near it is shop"
        here.write("later.yaml", "")
        await here.until(lambda: here.control.books.ledger.content(LATER_REF) is None)
        assert (await here.why("later")).startswith("release 'later' was removed at 2")


async def test_a_content_alone_finds_its_release(records: Path) -> None:
    async with house(records) as here, here.proxy():
        content = here.control.books.ledger.content(SHOP_REF)
        assert content is not None

        found = await here.get(f"/wait?timeout={PATIENCE}&content={content[:8]}")
        assert (found["verdict"], found["release"], found["content"]) == ("live", "shop", content)


async def test_who_waits_for_a_content_hears_of_its_release_alone_once_it_is_known(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        await proxy.routes()
        path = f"/wait?timeout={PATIENCE}&content={here.control.books.ledger.content(SHOP_REF)}"
        waiting = asyncio.create_task(here.get(path))  # noqa: TID251 - beside the proxy
        await here.somebody_waits()

        assert here.control.books.awaited == {SHOP_REF}
        await proxy.accept()
        assert (await waiting)["verdict"] == "live"


def test_a_restart_knows_history_and_goes_on(records: Path) -> None:
    async def first() -> Any:
        async with house(records) as here, here.proxy() as proxy:
            await here.wait()
            here.write("shop.yaml", release("shop", "shop.test", to="v2"))
            await proxy.routes()
            return await here.get("/releases/shop")

    async def second(before: Any) -> None:
        async with house(records) as here:
            after = await here.get("/releases/shop")
            assert [each["state"] for each in after["entries"]] == ["no proxies", "replaced"]
            assert [each["number"] for each in after["entries"]] == [each["number"] for each in before["entries"]]
            async with here.proxy():
                assert (await here.wait())["entry"]["number"] == before["current"]["number"]

    asyncio.run(second(asyncio.run(first())))


async def test_who_watches_proxies_hears_of_a_change(records: Path) -> None:
    async with house(records) as here:
        empty = await here.get("/proxies")
        waiting = asyncio.create_task(  # noqa: TID251 - beside the proxy
            here.get(f"/proxies?after={empty['revision']}&timeout={PATIENCE}")
        )
        async with here.proxy():
            found = await waiting

        assert empty["proxies"] == []
        assert found["revision"] > empty["revision"]
        assert (await here.get("/proxies?name=other"))["proxies"] == []


async def test_who_watched_a_server_that_ran_before_is_answered_at_once(records: Path) -> None:
    async with house(records) as here, asyncio.timeout(PATIENCE):
        found = await here.get("/proxies")
        later = found["revision"] + 1000
        assert await here.get(f"/proxies?after={later}&timeout=300") == found


async def test_who_is_connected_is_told_the_same_whenever_it_is_asked_for(records: Path) -> None:
    async with house(records) as here, here.proxy():
        await here.wait()
        found = await here.get("/proxies")
        assert await here.get("/proxies") == found
        [listed] = found["proxies"]
        assert [(each["type"], each["held"], each["version"]) for each in listed["types"]] == [
            ("RouteConfiguration", 1, None)
        ]
        [named] = (await here.get("/proxies?name=envoy-1"))["proxies"]
        assert len(named["types"][0]["version"]) == 32, "what costs as much as is held is told of who is named"


async def test_two_streams_that_share_a_node_id_are_one_proxy(records: Path) -> None:
    """It has accepted what both have."""
    async with house(records) as here, here.proxy() as one, here.proxy() as two:
        assert [each["streams"] for each in (await here.get("/proxies"))["proxies"]] == [2, 2]
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        reads = {asyncio.create_task(each.routes()): each for each in (one, two)}  # noqa: TID251 - one of them is first
        [first], [second] = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        await reads[first].accept()
        await second

        found = await here.get("/releases/shop/wait?timeout=0")
        assert (found["verdict"], found["why"]) == ("pending", "0 of 1 accepted, 1 sent")
        [proxy] = found["entry"]["proxies"]
        assert proxy["why"] == "it has not answered yet; 2 streams have this node id"
        await reads[second].accept()
        found = await here.wait()
        assert (found["verdict"], found["why"]) == ("live", "1 of 1 accepted")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/releases/shop/wait?content=xyz", 400, "content 'xyz' is none: write 8 to 32 hexadecimal digits"),
        ("/releases/shop/wait?timeout=soon", 400, "query timeout: "),
        ("/releases/shop/wait?timeout=601", 400, "query timeout: "),
        ("/wait?content=", 400, "content '' is none"),
        ("/wait", 400, "query content: field required"),
        ("/releases/shop/wait?entry=99", 404, "there is no entry 99 of release 'shop': there are 1"),
        ("/releases/nobody/wait?entry=1", 404, "there is no entry 1 of release 'nobody': there is none"),
        ("/wait?content=00000000&entry=1", 404, "there is no entry 1 of content '00000000': there is none"),
        ("/releases/shop/wait?entry=-1", 400, "query entry: "),
        ("/releases/shop/wait?since=noon", 400, "query since: "),
        ("/releases?limit=0", 400, "query limit: "),
        ("/releases/nobody", 404, "release 'nobody' is not known here: xdsctl get lists"),
        ("/proxies/nobody", 404, "no proxy with node id 'nobody' is connected"),
    ],
)
async def test_wrong_questions_are_refused_in_plain_words(records: Path, path: str, status: int, said: str) -> None:
    async with house(records) as here:
        assert (await here.get(path, status))["error"].startswith(said)


async def test_every_path_of_the_ledger_is_described(records: Path) -> None:
    async with house(records) as here:
        paths = (await here.get("/openapi.json"))["paths"]

    described = {path: operation["get"]["summary"] for path, operation in paths.items() if "get" in operation}
    assert {"/releases", "/releases/{name}", "/releases/{name}/wait", "/wait", "/proxies", "/proxies/{name}"} <= {
        *described
    }


ASKED = [
    ("/releases", "?limit=0"),
    ("/releases", ""),
    ("/releases/nobody", ""),
    ("/releases/shop/wait", "?timeout=soon"),
    ("/releases/shop/wait", "?entry=99"),
    ("/wait", ""),
    ("/wait", "?content=00000000&entry=1"),
    ("/proxies", "?after=now"),
    ("/proxies/nobody", ""),
    ("/problems", ""),
    ("/healthz", ""),
    ("/readyz", ""),
    ("/metrics", ""),
]


async def test_what_is_answered_is_described(records: Path) -> None:
    async with house(records) as here, aiohttp.ClientSession() as session:
        document = await here.get("/openapi.json")
        for path, query in ASKED:
            described = re.sub("(?<=s/)(nobody|shop)", "{name}", path)
            responses = document["paths"][described]["get"]["responses"]
            async with session.get(f"http://{LOOPBACK}:{here.admin}{path}{query}") as answer:
                content = responses[str(answer.status)]["content"]
                assert answer.content_type in content, path
                if answer.status >= 400:
                    assert list(await answer.json()) == ["error"]
                    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Wrong"}


async def test_no_answer_is_described_that_is_never_given(records: Path) -> None:
    async with house(records) as here:
        document = await here.get("/openapi.json")

    operations = [each for path in document["paths"].values() for each in path.values()]
    assert {status for each in operations for status in each["responses"]} == {"200", "400", "403", "404", "409", "503"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "400" in document["paths"]["/explain"]["post"]["responses"]


async def test_what_waits_to_be_ready_is_not_live_though_a_rollout_has_steered_the_release(records: Path) -> None:
    moves: dict[str, Any] = {"rollout": {"steps": [{"to": 10, "for": "1h"}]}}
    shares = [{"deployment": "v1", "weight": 100}, {"deployment": "v2", "weight": 0}]
    async with house(records) as here, here.proxy():
        here.write("shop.yaml", release("shop", "shop.test", default=shares, **moves))
        await here.until(lambda: SHOP_REF in here.control.admission.steered)
        [port] = free_ports(1)
        nobody = build("web-3", "b3", f"{LOOPBACK}:{port}", healthCheck={"path": "/"})
        here.write("v3.yaml", documents(nobody, deployment("v3", "b3")))
        wanted = release("shop", "shop.test", default=[*shares, {"deployment": "v3", "weight": 0}], **moves)
        here.write("shop.yaml", wanted)
        await here.until(lambda: SHOP_REF in here.control.admission.pending)

        said = here.records / "shop.yaml"
        [awaited] = awaited_in(said)
        found = await here.get(awaited.path(0))
        assert found["verdict"] == "pending", found
        assert "has not passed its health check" in found["why"]


async def test_a_release_that_is_gone_or_waits_for_the_first_time_is_described(records: Path) -> None:
    async with house(records) as here:
        waiting = build("web-3", "b3", f"{LOOPBACK}:{free_ports(1)[0]}", healthCheck={"path": "/"})
        here.write("v3.yaml", documents(waiting, deployment("v3", "b3"), release("new", "new.test", to="v3")))
        await here.until(lambda: NEW_REF in here.control.admission.pending)
        assert (await here.get("/releases/new/describe"))["status"] == "Pending"

        here.write("later.yaml", release("later", "later.test"))
        Steering(here.control).rollback(SHOP_REF, Ref("default", "v2"), Word("ada"))
        (records / "shop.yaml").unlink()
        await here.until(lambda: any("is gone" in each.what for each in here.control.problems))
        Steering(here.control).unpin(SHOP_REF, Word("ada"))
        assert (await here.get("/releases/shop/describe"))["status"] == "Superseded"
        assert (await here.get("/releases/shop/history"))[0]["kind"] == "unpinned"
        await here.get("/releases/nobody/describe", 404)
