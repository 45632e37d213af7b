"""The pages for newcomers, pasted into one shell, block by block: what they say is what happens."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from e2e.support.processes import ROOT, free_ports

pytestmark = pytest.mark.e2e

BLOCK = re.compile(r"^```(\w+)( example)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = ("9001", "9002", "9003", "9004", "9005", "9901", "10000", "10443", "18000", "18001")
MARK = "@@@ "
HARMLESS = "--use-dynamic-base-id --file-flush-interval-msec 50"
"""So that it meets no other Envoy of this machine, and that nobody waits ten seconds for the access log."""
PATIENCE = 300
"""Seconds for a page: what it waits for may never come."""


@dataclass(frozen=True, slots=True)
class Block:
    """Commands, and what they print. `example`: numbers may differ."""

    commands: str
    said: str | None
    example: bool


def blocks(page: str) -> Iterator[Block]:
    found = [*BLOCK.findall(page), ("", "", "")]
    for (kind, _, commands), (after, example, said) in pairwise(found):
        if kind == "console":
            yield Block(commands, said if after == "text" else None, bool(example))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is tried: its ports and its folders under /tmp are others than those it names."""

    home: Path
    ports: Mapping[str, str]

    def moved(self, text: str) -> str:
        here = re.sub(rf"\b({'|'.join(self.ports)})\b", lambda found: self.ports[found[0]], text)
        return here.replace("/tmp/", f"{self.home}/")

    def as_written(self, text: str) -> str:
        back = {here: named for named, here in self.ports.items()}
        return re.sub(rf"\b({'|'.join(back)})\b", lambda found: back[found[0]], text.replace(f"{self.home}/", "/tmp/"))

    def pasted(self, page: list[Block]) -> list[str]:
        """What each block prints."""
        shop = self.home / "manifests"
        shutil.copytree(ROOT / "manifests" / "shop", shop)
        for record in shop.iterdir():
            record.write_text(self.moved(record.read_text("utf-8")), "utf-8")
        parts = [f"echo '{MARK}'\n{self.moved(each.commands)}" for each in page]
        script = "\n".join(parts).replace("manifests/shop", str(shop)).replace("envoy -c", f"envoy {HARMLESS} -c")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "NO_COLOR": "1"}
        defaults = {"XDS_SERVER_XDS": "18000", "XDS_SERVER_ADMIN": "18001"}
        environment |= {name: f"127.0.0.1:{self.ports[port]}" for name, port in defaults.items()}
        output = self.home / "output"
        with output.open("wb") as file:
            shell = subprocess.Popen(
                ["bash", "-c", script], cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        try:
            shell.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the page waits for what does not come:\n{output.read_text('utf-8')}")
        finally:
            end(shell.pid)
            shell.wait()
        return [self.as_written(each) for each in output.read_text("utf-8").split(f"{MARK}\n")[1:]]


def end(session: int) -> None:
    """Ends what the shell has left, if there is anything."""
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True)))


GUIDE = [*blocks((ROOT / "docs" / "guide.md").read_text("utf-8"))]
README = (ROOT / "README.md").read_text("utf-8").partition("in five minutes\n")[2].partition("\n## ")[0]
ANSWERS = {"v1,": "build on 9001", "v2,": "build on 9002", "404:": "HTTP/1.1 404 Not Found"}
NUMBER = re.compile(r" *[0-9]+")


def alike(text: str, *, example: bool) -> str:
    said = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    return NUMBER.sub(" N", said) if example else said


def test_the_guide_is_what_happens(place: Place) -> None:
    printed = place.pasted(GUIDE)

    assert len(printed) == len(GUIDE)
    for block, found in zip(GUIDE, printed, strict=True):
        if block.said is not None:
            assert alike(found, example=block.example) == alike(block.said, example=block.example), block.commands
    assert sorted(each.name for each in place.home.iterdir()) == ["manifests", "output"], "it cleans up after itself"


def test_the_readme_is_what_happens(place: Place) -> None:
    """Line by line where lines say what they print."""
    lines = [
        Block(line, None, example=False)
        for block in blocks(README)
        for line in (block.commands.splitlines() if "  # " in block.commands else [block.commands])
    ]
    printed = place.pasted([*lines, Block("kill $(jobs -p); wait", None, example=False)])

    answers = {each.commands: found for each, found in zip(lines, printed, strict=False)}
    asked = [line for line in answers if line.startswith("curl") and "  # " in line]
    assert len(asked) == 7
    for line in asked:
        assert ANSWERS[line.rpartition("  # ")[2].split()[0]] in answers[line], line
    [canary] = (found for line, found in answers.items() if "uniq -c" in line)
    assert sum(int(count) for count in re.findall(r"([0-9]+) x-served-deployment: shop-v[12]", canary)) == 20


TLS = (ROOT / "docs" / "gateways.md").read_text("utf-8").partition("signed itself")[2]


def test_the_gateway_with_tls_is_what_happens(place: Place) -> None:
    """In place of the guide's own, as soon as that serves."""
    started = next(number for number, each in enumerate(GUIDE, 1) if "envoy -c" in each.commands)
    certificate, asked = list(blocks(TLS))[:2]
    record = TLS.partition("```yaml\n")[2].partition("```")[0]
    written = Block(f"cat >/tmp/shop/gateway.yaml <<'EOF'\n{record}EOF", None, example=False)

    printed = place.pasted([*GUIDE[:started], certificate, written, asked, GUIDE[-1]])

    assert printed[-2].splitlines() == ["build on 9001"] * 2


def test_every_page_starts_clean_after_the_other_and_after_itself(place: Place) -> None:
    first = next(blocks(README))
    looked = Block("ls /tmp/shop; xdsctl check /tmp/shop", None, example=False)

    *_, found = place.pasted([first, first, GUIDE[0], GUIDE[0], looked])

    files = sorted(each.name for each in (ROOT / "manifests" / "shop").iterdir())
    *listed, _shared, summary = found.splitlines()
    assert (listed, summary) == (files, "8 records in force; 0 errors, 0 warnings")
