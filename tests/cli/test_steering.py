"""`xdsctl rollback`, `unpin` and `history` against a real server."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.records.folder import release, shop_in
from tests.runtime.test_waiting import House, house
from xds_server.cli import steering
from xds_server.cli.ctl import app

WHO = ["--who", "ada@desk", "--why", "it fails"]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


async def ran(here: House, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, [*words, "--server", f"127.0.0.1:{here.admin}"])


def lines(result: Result) -> list[str]:
    """What the command printed: the server of the test logs to the same place."""
    return [line for line in result.stdout.splitlines() if "[info " not in line and "[warning " not in line]


async def at_v2(here: House) -> None:
    here.write("shop.yaml", release("shop", "shop.test", to="v2"))
    await here.until(lambda: len(here.control.history(here.control.books.ledger.releases[0])) == 1)


async def test_a_release_is_taken_back_pinned_and_unpinned(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        await at_v2(here)
        await proxy.routes()
        await proxy.accept()

        rolling = asyncio.create_task(ran(here, "rollback", "shop", *WHO))  # noqa: TID251 - it ends in this test
        await proxy.routes()
        await proxy.accept()
        back = await rolling
        assert back.exit_code == 0, back.output
        assert lines(back)[0] == "shop: pinned; default: v2 100 % -> v1 100 %"
        assert "live: 1 of 1 accepted" in lines(back)[1]

        asked = await ran(here, "unpin", "shop", *WHO)
        would = "shop would be unpinned; default: v1 100 % -> v2 100 %"
        assert lines(asked) == [would, "Nothing is done; with --yes it is."]
        assert here.control.admission.pins

        done = await ran(here, "unpin", "shop", "--yes", *WHO)
        assert lines(done) == ["shop: unpinned; default: v1 100 % -> v2 100 %"]
        assert not here.control.admission.pins

        told = lines(await ran(here, "history", "shop"))
        assert [line.split("  ", 1)[1] for line in told] == [
            "ada@desk  unpinned; default: v1 100 % -> v2 100 %: it fails",
            "ada@desk  pinned; default: v2 100 % -> v1 100 %: it fails",
            "records  default: v1 100 % -> v2 100 %",
        ]


async def test_of_what_nobody_has_changed_there_is_no_history(records: Path) -> None:
    async with house(records) as here:
        told = await ran(here, "history", "shop")
    assert (lines(told), told.stderr) == ([], "nothing was done to shop since it is known here\n")


async def test_what_cannot_be_done_is_said(records: Path) -> None:
    async with house(records) as here:
        for words, said in (
            (("rollback", "shop"), "name a deployment with --to"),
            (("rollback", "shop", "--to", "v9"), "v9 is not deployed for app shop; there is v1, v2"),
            (("rollback", "shap"), "no Release shap is in force; there is shop"),
            (("unpin", "shop"), "is not pinned"),
        ):
            result = await ran(here, *words, *WHO)
            assert result.exit_code == 1
            assert said in result.stderr


async def test_the_answers_are_data_too(records: Path) -> None:
    async with house(records) as here:
        await at_v2(here)
        await ran(here, "rollback", "shop", "--timeout", "0s", *WHO)
        [first, second] = json.loads("".join(lines(await ran(here, "history", "shop", "-o", "json"))))
        assert (first["kind"], second["kind"]) == ("rolled-back", "changed")
        assert (first["who"], first["before"], first["after"]) == ("ada@desk", {"v2": 100.0}, {"v1": 100.0})
        said = json.loads("".join(lines(await ran(here, "unpin", "shop", "-o", "json", *WHO))))
        assert (said["kind"], said["after"]) == ("unpinned", {"v2": 100.0})


async def test_a_word_needs_somebody_and_a_reason(records: Path) -> None:
    async with house(records) as here:
        result = await ran(here, "rollback", "shop", "--why", " ")
        assert (result.exit_code, "say why: the history keeps it" in result.stderr) == (2, True)
        assert not here.control.admission.pins


@pytest.mark.parametrize("words", [("history", "shop"), ("get",), ("describe", "shop"), ("freeze",)], ids=str)
async def test_the_environment_may_say_which_server_is_asked(records: Path, words: tuple[str, ...]) -> None:
    async with house(records) as here:
        runner = CliRunner(env={"XDSCTL_SERVER": f"127.0.0.1:{here.admin}"})
        assert (await asyncio.to_thread(runner.invoke, app, [*words])).exit_code == 0
        named = await asyncio.to_thread(runner.invoke, app, [*words, "--server", "127.0.0.1:1"])
        assert (named.exit_code, "http://127.0.0.1:1 does not answer" in named.stderr) == (1, True)


@pytest.mark.parametrize("name", ["", "../shop", "sh/op", "Shop", "a.b.c"])
@pytest.mark.parametrize("words", [("rollback",), ("history",), ("describe",), ("pause",), ("compare",)], ids=str)
def test_what_is_no_name_is_wrong_use(words: tuple[str, ...], name: str) -> None:
    result = CliRunner().invoke(app, [*words, name])
    assert (result.exit_code, "is not the name of a record" in " ".join(result.stderr.split())) == (2, True)


async def test_what_was_never_there_has_no_history(records: Path) -> None:
    async with house(records) as here:
        result = await ran(here, "history", "shap")
        assert (result.exit_code, "there is no release 'shap', nor was there" in result.stderr) == (1, True)
        assert lines(await ran(here, "history", "shop")) == []


async def test_what_is_taken_back_is_not_given_again_by_saying_so_twice(records: Path) -> None:
    async with house(records) as here:
        await at_v2(here)
        assert (await ran(here, "rollback", "shop", "--timeout", "0s", *WHO)).exit_code == 6
        again = await ran(here, "rollback", "shop", "--timeout", "0s", *WHO)
        assert again.exit_code == 1
        assert "Release shop was taken back already" in again.stderr
        assert (await ran(here, "rollback", "shop", "--to", "v2", "--timeout", "0s", *WHO)).exit_code == 6


async def test_a_record_may_be_mended_while_it_is_pinned(records: Path, tmp_path: Path) -> None:
    """So that who unpins it does not have to give what was taken back first."""
    async with house(records) as here:
        await at_v2(here)
        await ran(here, "rollback", "shop", "--timeout", "0s", *WHO)
        mended = tmp_path / "shop.yaml"
        mended.write_text(release("shop", "shop.test", "new.test", to="v1"))

        applied = await ran(here, "apply", str(mended), *WHO)
        assert (applied.exit_code, "[Pinned]" in applied.stderr) == (0, True), applied.stderr
        assert here.records.joinpath("shop.yaml").read_text() == mended.read_text()
        asked = await ran(here, "unpin", "shop", *WHO)
        assert lines(asked)[0] == "shop would be unpinned; hosts that came: new.test at edge"


async def test_before_it_is_unpinned_it_is_said_that_its_rollout_begins(records: Path) -> None:
    async with house(records) as here:
        await at_v2(here)
        await ran(here, "rollback", "shop", "--timeout", "0s", *WHO)
        shares = [{"deployment": "v1", "weight": 100}, {"deployment": "v2", "weight": 0}]
        here.write("shop.yaml", release("shop", "shop.test", default=shares, rollout={"steps": [{"to": 20}]}))
        await here.until(lambda: bool(here.control.admission.held))
        asked = await ran(here, "unpin", "shop", *WHO)
    assert lines(asked)[0] == "shop would be unpinned; nothing moves; then its rollout begins: v2 goes to 20%"


def test_who_runs_a_command_is_known() -> None:
    assert "@" in steering.who()
