"""`xdsctl wait` against a real server, and against one that knows one answer."""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.answering import answering
from tests.ledger.facts import NOON
from tests.records.folder import build, documents, release, shop_in
from tests.runtime.test_waiting import House, house
from xds_server.api.release_reports import Answer, Verdict, entry_report
from xds_server.cli.ctl import app
from xds_server.cli.waiting import Awaited, Code, awaited_in, code, waited
from xds_server.domain.names import Ref
from xds_server.ledger.entry import Entry, Summary

CONTENT = "0123456789abcdef" * 2
ENTRY = Entry(7, Ref("default", "shop"), CONTENT, NOON, live=NOON, summary=Summary(accepted=2))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


def answer(verdict: Verdict, why: str = "2 of 2 accepted") -> bytes:
    entry = entry_report(ENTRY)
    return Answer(verdict=verdict, why=why, release="shop", content=CONTENT, entry=entry).model_dump_json().encode()


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.LIVE, 0),
        (Verdict.SUPERSEDED, 3),
        (Verdict.REFUSED, 4),
        (Verdict.PENDING, 5),
        (Verdict.NO_PROXIES, 6),
    ],
)
def test_each_verdict_has_an_exit_code_of_its_own(verdict: Verdict, expected: int) -> None:
    with answering(200, answer(verdict)) as server:
        result = CliRunner().invoke(app, ["wait", "shop", "--server", server, "--timeout", "50ms"])

    assert result.exit_code == expected
    assert result.stdout == f"release shop, content 0123456789ab: {verdict}: 2 of 2 accepted\n"
    assert result.stderr == "shop 0123456789ab: 2 of 2 accepted\n"


def test_the_answer_is_data_too() -> None:
    with answering(200, answer(Verdict.LIVE)) as server:
        result = CliRunner().invoke(app, ["wait", "--content", CONTENT[:8], "--server", server, "-o", "json"])

    [said] = json.loads(result.stdout)
    assert (said["verdict"], said["entry"]["number"], said["entry"]["counts"]["accepted"]) == ("live", 7, 2)


def test_a_server_that_does_not_answer_is_asked_until_the_time_is_over() -> None:
    result = CliRunner().invoke(app, ["wait", "shop", "--server", "127.0.0.1:1", "--timeout", "300ms"])

    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "it is asked again" in result.stderr


def test_a_server_that_is_stopping_is_asked_again() -> None:
    with answering(500, b"Internal Server Error") as server:
        result = CliRunner().invoke(app, ["wait", "shop", "--server", server, "--timeout", "300ms"])

    assert result.exit_code == 1
    assert "it is asked again" in result.stderr


def test_a_server_that_says_no_is_not_asked_again() -> None:
    with answering(400, b'{"error": "content is none"}') as server:
        result = CliRunner().invoke(app, ["wait", "shop", "--server", server])

    assert (result.exit_code, result.stderr) == (1, "xdsctl: content is none\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "write a RELEASE, -f FILE or --content HASH"),
        (["shop", "-f", "builds.yaml"], "write -f FILE alone, or RELEASE, --content or both"),
        (["-f", "builds.yaml"], "has no Release"),
        (["shop", "--timeout", "soon"], "'soon' is no duration"),
    ],
)
def test_wrong_use(words: list[str], said: str, records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(records)
    result = CliRunner().invoke(app, ["wait", *words], env={"COLUMNS": "200"})

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_whose_release_is_broken_is_refused_without_asking(records: Path) -> None:
    (records / "shop.yaml").write_text(release("shop"), "utf-8")
    result = CliRunner().invoke(app, ["wait", "-f", str(records / "shop.yaml")])

    assert result.exit_code == 4
    assert "Release/default/shop" in result.stderr


def test_every_release_of_a_file_is_waited_for(records: Path) -> None:
    (records / "both.yaml").write_text(documents(release("a", "a.test"), build("x"), release("b", "b.test")), "utf-8")

    os.utime(records / "both.yaml", (0, 1000.5))
    written = datetime.fromtimestamp(1000.5, UTC)

    assert [(each.release, len(each.content), each.since) for each in awaited_in(records / "both.yaml")] == [
        ("a", 32, written),
        ("b", 32, written),
    ]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([Verdict.LIVE, Verdict.PENDING], Code.TIMEOUT),
        ([Verdict.NO_PROXIES, Verdict.PENDING], Code.TIMEOUT),
        ([Verdict.SUPERSEDED, Verdict.REFUSED], Code.REFUSED),
        ([Verdict.LIVE, Verdict.LIVE], Code.LIVE),
    ],
)
def test_of_several_the_worst_counts(verdicts: list[Verdict], expected: Code) -> None:
    def one(verdict: Verdict) -> Awaited:
        return Awaited(answer=Answer(verdict=verdict, why="", release="", content="", entry=None))

    assert code([one(each) for each in verdicts]) is expected


async def test_a_real_server_is_asked_until_it_has_read_the_file(records: Path) -> None:
    """The file is written while it is waited for, and the proxy answers after that."""
    async with house(records) as here, here.proxy() as proxy:
        draft = records.parent / "shop.yaml"
        draft.write_text(release("shop", "shop.test", to="v2"), "utf-8")
        awaited, told = awaited_in(draft), list[str]()
        waiting = asyncio.create_task(_waited(here, awaited, told))  # noqa: TID251 - beside the proxy
        await here.somebody_waits()
        here.write("shop.yaml", draft.read_text("utf-8"))
        await proxy.routes()
        await proxy.accept()
        await waiting

    assert code(awaited) is Code.LIVE
    assert told[-1] == f"shop {awaited[0].content[:12]}: 1 of 1 accepted"


async def test_a_file_of_which_the_content_came_and_went_is_superseded(records: Path) -> None:
    """Whether a server is about to read it again is known a little later."""
    async with house(records) as here, here.proxy() as proxy:
        assert (await here.wait())["verdict"] == "live"
        went, told = awaited_in(records / "shop.yaml"), list[str]()
        here.write("shop.yaml", release("shop", "shop.test", to="v2"))
        await proxy.routes()
        await proxy.accept()
        await _waited(here, went, told)
        assert code(went) is Code.SUPERSEDED
        why = "it was replaced before it was asked for, after it had been live (1 of 1 accepted)"
        assert told == [f"shop {went[0].content[:12]}: {why}"]

        draft = records.parent / "shop.yaml"
        draft.write_text(release("shop", "shop.test"), "utf-8")
        again = awaited_in(draft)
        here.write("shop.yaml", draft.read_text("utf-8"))
        await proxy.routes()
        await proxy.accept()
        await _waited(here, again, [])
        assert code(again) is Code.LIVE
        assert [each.entry for each in (*went, *again)] == [0, 3]


async def _waited(here: House, awaited: list[Awaited], told: list[str]) -> None:
    await asyncio.to_thread(waited, f"127.0.0.1:{here.admin}", awaited, 20.0, told.append)
