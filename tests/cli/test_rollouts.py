"""Until when rollouts are frozen, as it is written on the command line, by a real server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.test_steering import WHO, lines, ran
from tests.records.folder import shop_in
from tests.runtime.test_waiting import house
from xds_server.cli.ctl import app


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2099-12-01T09:00:00+01:00", "2099-12-01T08:00:00Z"),
        ("2099-12-01", "2099-12-01T23:59:59Z"),
        ("9999-12-31", "9999-12-31T23:59:59Z"),
    ],
)
async def test_an_instant_or_the_end_of_a_day_in_utc(tmp_path: Path, written: str, said: str) -> None:
    async with house(shop_in(tmp_path)) as here:
        for words in (("--until", written, *WHO), ()):
            found = lines(await ran(here, "freeze", *words))
            assert found == [f"rollouts stay where they are until {said}: it fails (ada@desk)"]


async def test_so_long_from_now(tmp_path: Path) -> None:
    before = datetime.now(UTC)  # noqa: TID251 - what the command reads, too
    async with house(shop_in(tmp_path)) as here:
        await ran(here, "freeze", "--until", "12h", *WHO)
        said = lines(await ran(here, "freeze", "-o", "json"))
    found = datetime.fromisoformat(next(each for each in said if "until" in each).split('"')[3])
    assert timedelta(0) <= found - before - timedelta(hours=12) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--until", "2099-12-01T09:00", "--why", "so"), "is no instant with a zone"),
        (("--until", "soon", "--why", "so"), "is no instant with a zone"),
        (("--until", "12h"), "write --until and --why"),
        (("--why", "so"), "write --until and --why"),
        (("--until", "12h", "--why", " "), "write --until and --why"),
    ],
    ids=["no zone", "no time", "no reason", "no end", "an empty reason"],
)
def test_what_is_written_wrong_is_said_before_anyone_is_asked(words: tuple[str, ...], why: str) -> None:
    result = CliRunner().invoke(app, ["freeze", *words, "--server", "127.0.0.1:1"])
    assert (result.exit_code, why in " ".join(result.stderr.split())) == (2, True), result.stderr
