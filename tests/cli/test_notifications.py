"""`xdsctl notifications` against a real server."""

import asyncio
import json
from pathlib import Path

from aiohttp import web
from typer.testing import CliRunner, Result

from tests.records.folder import release, shop_in
from tests.runtime.receivers import receiver
from tests.runtime.test_notifying import telling
from tests.runtime.test_waiting import House
from xds_server.cli.ctl import app


async def ran(here: House, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["notifications", *words, "--server", address(here)])


def address(here: House) -> str:
    return f"http://127.0.0.1:{here.admin}"


def lines(result: Result) -> list[str]:
    """What the command printed: the server of the test logs to the same place."""
    return [line for line in result.stdout.splitlines() if "[info " not in line]


async def test_who_is_told_and_how_it_went_last(tmp_path: Path) -> None:
    async with receiver(web.Response(status=503)) as there, telling(shop_in(tmp_path), there) as here:
        before = lines(await ran(here))
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        await there.heard(2)
        while "1 delivered" not in (after := await ran(here)).stdout:
            assert after.exit_code == 0, after.output
        said = json.loads("".join(lines(await ran(here, "-o", "json"))))

    assert before == [f"ops  {there.url}", "  0 waiting, 0 delivered", "  last taken never since the server began"]
    assert lines(after)[1] == "  0 waiting, 1 delivered, 1 time in vain"
    assert lines(after)[3].endswith("Z: it answers 503")
    [webhook] = said["webhooks"]
    assert (webhook["delivered"], webhook["failed"], webhook["lastError"]["why"]) == (1, 1, "it answers 503")


async def test_a_ping_says_whether_the_webhook_listens(tmp_path: Path) -> None:
    refusal = web.Response(status=401, text="no such key")
    async with receiver(refusal) as there, telling(shop_in(tmp_path), there) as here:
        refused = await ran(here, "test", "ops")
        taken = await ran(here, "test", there.url, "-o", "json")
        unknown = await ran(here, "test", "nobody")

    assert (refused.exit_code, lines(refused)) == (1, ["ops did not take it: it answers 401: no such key"])
    assert taken.exit_code == 0
    assert json.loads("".join(lines(taken))) == {"webhook": "ops", "delivered": True, "status": 204, "why": ""}
    assert (unknown.exit_code, unknown.stderr) == (1, "xdsctl: no webhook is called 'nobody'; there is ops\n")


def test_an_option_that_the_ping_would_not_follow_is_refused() -> None:
    result = CliRunner().invoke(app, ["notifications", "--server", "127.0.0.1:1", "test", "ops"])

    assert result.exit_code == 2
    assert "write options after test" in result.stderr


def test_a_server_that_does_not_answer_is_said() -> None:
    for words in ((), ("test", "ops")):
        result = CliRunner().invoke(app, ["notifications", *words, "--server", "127.0.0.1:1"])
        assert result.exit_code == 1
        assert "does not answer" in result.stderr


async def test_a_ping_asks_the_server_of_the_environment(tmp_path: Path) -> None:
    async with receiver() as there, telling(shop_in(tmp_path), there) as here:
        runner = CliRunner(env={"XDSCTL_SERVER": address(here)})
        result = await asyncio.to_thread(runner.invoke, app, ["notifications", "test", "ops"])

    assert result.exit_code == 0, result.output
