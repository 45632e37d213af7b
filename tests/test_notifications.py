"""What docs/notifications.md says is so."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tests.ledger.facts import NOON, ref
from tests.runtime.receivers import SECRET
from tests.runtime.test_serve import LOOPBACK
from xds_server.cli.demo import free_ports
from xds_server.difference.history import RECORDS, Event, Kind
from xds_server.notifications import outbox, outcome
from xds_server.notifications.configuration import read_configuration
from xds_server.notifications.message import About, release_message
from xds_server.notifications.webhook import Webhook
from xds_server.runtime import notifying, posting
from xds_server.runtime.clock import clock

PAGE = (Path(__file__).parent.parent / "docs" / "notifications.md").read_text("utf-8")
ROW = re.compile(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|", re.MULTILINE)
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_every_kind_has_a_row() -> None:
    rows = [kind for row in ROW.findall(PAGE) for kind in re.findall("`([a-z-]+)`", row)]

    assert sorted(rows) == sorted(Kind)


def test_the_example_has_the_fields_that_are_sent() -> None:
    said = json.loads(block("json"))
    event = Event(ref("shop"), NOON, RECORDS, "moved", kind=Kind.ROLLED_BACK)
    sent = json.loads(release_message(event, About(), said["source"], said["id"]))

    assert (list(said), list(said["data"])) == (list(sent), list(sent["data"]))
    assert said["type"] == sent["type"]


def test_the_example_of_the_file_can_be_used() -> None:
    found, problems = read_configuration("webhooks.yaml", block("yaml"))

    assert problems == []
    assert found is not None
    assert [each.name for each in found.webhooks] == ["ops", "audit"]


def test_the_bounds_are_those_of_the_server() -> None:
    for said in (
        f"within {posting.PATIENCE:g} s",
        f"up to {outcome.LONGEST_PAUSE / 60:g} minutes",
        f"{outcome.REFUSALS} times, over",
        f"in {outcome.TRIES} tries",
        f"of {outbox.MOST:,} that wait",
        f"{outbox.AT_ONCE} are under way",
        f"failed {notifying.FAILING} times in a row",
    ):
        assert said in PAGE


@contextmanager
def receiving(folder: Path) -> Iterator[tuple[str, Path]]:
    """The page's receiver, and what it printed."""
    [port] = free_ports(1)
    (folder / "receiver.py").write_text(block("python").replace("9000", str(port)))
    (folder / "ops.secret").write_text(f"{SECRET}\n")
    with (folder / "printed").open("w") as printed:
        command = [sys.executable, str(folder / "receiver.py"), str(folder / "ops.secret")]
        with subprocess.Popen(command, stdout=printed, stderr=subprocess.DEVNULL) as child:
            try:
                _wait_for(port)
                yield f"http://{LOOPBACK}:{port}/", folder / "printed"
            finally:
                child.kill()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)


async def sent(url: str, folder: Path, secret: str, ago: timedelta = timedelta()) -> int:
    """What the receiver answers to a message that was signed so long ago."""

    def then() -> datetime:
        return clock() - ago

    (folder / "ours.secret").write_text(secret)
    poster = posting.Poster(Webhook("ops", url, "ours.secret"), folder, then)
    async with poster.open():
        body = release_message(Event(ref("shop"), NOON, RECORDS, "moved"), About(), "here", "7f")
        return (await poster.post("7f", body.encode())).status


async def test_the_receiver_takes_what_is_ours_and_fresh_alone(tmp_path: Path) -> None:
    with receiving(tmp_path) as (url, printed):
        assert await sent(url, tmp_path, OTHER) == 401
        assert await sent(url, tmp_path, SECRET, timedelta(minutes=6)) == 401
        assert await sent(url, tmp_path, SECRET) == 204
        assert await sent(url, tmp_path, f"{OTHER}\n{SECRET}") == 204

        assert printed.read_text().splitlines() == ["7f dev.xds-server.release.changed.v1"] * 2
