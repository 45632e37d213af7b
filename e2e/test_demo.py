"""`xds-server demo --mesh` as a person runs it: what it prints is tried, line by line."""

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.support.processes import Child, free_ports, wait_until
from e2e.support.server import BIN, Mode

pytestmark = pytest.mark.e2e

EVERY = {
    "default: v1": (200, "gateway -> ui@u1 -> api@a1  200"),
    "v2 by its own host": (200, "gateway -> ui@u1 -> api@a2  200"),
    "v3 by header": (200, "gateway -> ui@u2 -> api@a2 -> review@r1  200"),
    "one worker, v1": (200, "gateway -> worker@w1 -> api@a1  200"),
    "the same one, v3": (200, "gateway -> worker@w1 -> api@a2  200"),
    "v2 has no review: 502": (502, "gateway -> ui@u1 -> api@a2 -> review (ComponentAbsent)  502"),
}
SAYING = re.compile(r"^  (\S.{20}\S|\S.*?) {2,}(curl .*|sed .*|/.*|\S*xdsctl .*)$", re.MULTILINE)


@dataclass(slots=True)
class Demo:
    """A running one."""

    child: Child

    @property
    def text(self) -> str:
        return self.child.log.read_text()

    @property
    def lines(self) -> dict[str, str]:
        """What it says to try, by what it is for."""
        return {what.strip(): line for what, line in SAYING.findall(self.text)}

    def tried(self, what: str) -> str:
        return printed(self.lines[what])

    def status(self, what: str) -> int:
        return int(printed(f"{self.lines[what]} -s -o /dev/null -w '%{{http_code}}'"))

    def drawn(self, deployment: str, way: str, times: int = 1) -> None:
        wanted = re.compile(rf"^{deployment}\s+{re.escape(way)}", re.MULTILINE)
        wait_until(lambda: len(wanted.findall(self.text)) >= times, f"{deployment} {way} is drawn")


def printed(line: str) -> str:
    return subprocess.run(["bash", "-c", line], check=True, stdout=subprocess.PIPE, text=True, timeout=20).stdout


@pytest.fixture(scope="module", params=list(Mode))
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    (port,) = free_ports(1)
    command = [str(BIN / "xds-server"), "demo", "--mesh", "--port", str(port), "--mode", Mode(request.param)]
    with Child("demo", command, tmp_path_factory.mktemp("demo")) as child:
        child.wait_ready(lambda: "Ctrl-C ends all of it." in child.log.read_text(), within=60)
        yield Demo(child)


@pytest.mark.parametrize("what", EVERY)
def test_every_request_that_it_names_goes_the_way_that_it_says(demo: Demo, what: str) -> None:
    status, way = EVERY[what]

    assert demo.status(what) == status
    demo.drawn("order-v[123]", way)


def test_a_release_and_a_rollback_are_a_line_each(demo: Demo) -> None:
    demo.status("default: v1")
    demo.tried("release v3")
    wait_until(lambda: '"ui@u2"' in demo.tried("default: v1"), "v3 is released")
    demo.drawn("order-v3", "gateway -> ui@u2 -> api@a2  200")
    assert "live: Envoy took the new routes" in demo.text
    demo.tried("roll back to v1")
    wait_until(lambda: '"ui@u1"' in demo.tried("default: v1"), "v1 is back")


def test_it_says_who_is_connected(demo: Demo) -> None:
    said = demo.tried("who is connected")

    assert all(name in said for name in ("edge", "ui@u1", "review@r1"))


def test_a_signal_ends_all_of_it_and_nothing_is_left(demo: Demo) -> None:
    """The last of the module."""
    folder = Path(shlex.split(demo.lines["the records"])[0])
    assert folder.is_dir()
    demo.child.signal(signal.SIGINT)

    assert demo.child.ended() == 0
    assert demo.text.endswith("ended; nothing is left behind\n")
    assert not folder.exists()
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if str(folder.parent) in words(each)]


def words(cmdline: Path) -> str:
    try:
        return cmdline.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""
