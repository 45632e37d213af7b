"""Everything that a user of either program reads, as it is printed 100 columns wide: read the diff of a golden file."""

import os
import pty
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner, Result

from tests.conftest import Golden
from xds_server.cli import demo
from xds_server.cli.ctl import app as ctl
from xds_server.cli.server import app as server
from xds_server.domain.problems import Place, Problem, Reason

BIN = Path(sys.executable).parent
SAMPLE = Path(__file__).parents[2] / "manifests" / "shop"
PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
PROGRAMS = {"xdsctl": ctl, "xds-server": server}

COMMANDS = {
    "xdsctl": [
        *("", "check", "render", "diff", "builds", "explain"),
        *("plan", "apply", "set", "wait", "proxies", "top", "compare", "fields", "schema"),
        *("get", "describe", "gc"),
        *("rollout", "promote", "pause", "resume", "approve", "freeze", "unfreeze"),
        *("notifications", "notifications test"),
    ],
    "xds-server": ["", "serve", "bootstrap", "bootstrap gateway", "bootstrap sidecar", "run", "demo"],
}


def run(line: str) -> Result:
    program, *words = line.split()
    return CliRunner().invoke(PROGRAMS[program], words, env=PLAIN, prog_name=program)


def shown(result: Result) -> str:
    """Without the blanks that fill lines."""
    lines = (each.rstrip() for each in result.output.splitlines())
    return "".join(f"{line}\n" for line in [*lines, f"exit code {result.exit_code}"])


@pytest.mark.parametrize("program", COMMANDS)
def test_help(program: str, golden: Golden) -> None:
    for command in COMMANDS[program]:
        result = run(f"{program} {command} --help")
        golden.check(f"{command.replace(' ', '-') or program}.txt", shown(result))
        assert result.exit_code == 0


@pytest.mark.parametrize("program", COMMANDS)
def test_help_says_every_exit_code_and_what_every_option_is_for(program: str) -> None:
    for command in COMMANDS[program]:
        words = command.split()
        found: Any = get_command(PROGRAMS[program])
        for word in words:
            found = found.commands[word]
        if not hasattr(found, "commands"):
            assert "Exit code 0:" in found.help, command
            assert [each.name for each in found.params if not each.help] == [], command


@pytest.mark.parametrize("program", COMMANDS)
def test_help_fits_into_80_columns(program: str) -> None:
    """What does not is cut off with an ellipsis."""
    for command in COMMANDS[program]:
        line = [*command.split(), "--help"]
        assert "\u2026" not in CliRunner().invoke(PROGRAMS[program], line, env={**PLAIN, "COLUMNS": "80"}).output


def test_every_option_of_serve_has_the_environment_variable_that_its_help_says() -> None:
    serve: Any = get_command(server)
    for option in serve.commands["serve"].params:
        name = option.opts[0].removeprefix("--").upper().replace("-", "_")
        assert option.envvar == f"XDS_SERVER_{name}"


WRONG = {
    "no-such-command": "xdsctl chekc",
    "no-folder": "xdsctl check",
    "no-such-folder": "xdsctl builds nowhere",
    "no-such-format": "xdsctl diff . . -o xml",
    "no-url": "xdsctl explain",
    "no-such-kind": "xdsctl fields Pod",
    "serve-without-records": "xds-server serve",
    "serve-with-an-unknown-option": "xds-server serve --record here",
    "serve-at-no-address": "xds-server serve --records here --state there --xds 18000",
    "serve-with-half-of-a-certificate": "xds-server serve --records here --state there --xds-cert edge.pem",
    "serve-with-no-such-file": "xds-server serve --config nowhere.toml",
    "bootstrap-without-a-server": "xds-server bootstrap gateway edge",
    "bootstrap-of-no-name": "xds-server bootstrap gateway Edge_1 --xds 127.0.0.1:18000",
    "demo-at-no-port": "xds-server demo --port 70000",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_use(wrong: str, golden: Golden) -> None:
    result = run(WRONG[wrong])

    golden.check("output.txt", shown(result))
    assert result.exit_code == (1 if " diff " in WRONG[wrong] else 2)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("xdsctl check {shop}", id="check"),
        pytest.param("xdsctl builds {shop}", id="builds"),
        pytest.param("xdsctl diff {shop} {shop}", id="diff-of-nothing"),
        pytest.param("xdsctl get {shop} -o wide", id="get-releases"),
        pytest.param("xdsctl get deployments {shop} --output wide", id="get-deployments"),
        pytest.param("xdsctl get builds {shop}", id="get-builds"),
        pytest.param("xdsctl get gateways {shop}", id="get-gateways"),
        pytest.param("xdsctl get apps {shop}", id="get-apps"),
        pytest.param("xdsctl describe shop {shop}", id="describe"),
        pytest.param("xdsctl fields App", id="fields"),
        pytest.param("xdsctl schema App -o yaml", id="schema"),
        pytest.param("xds-server bootstrap gateway prod.edge --xds xds.test:18000 --admin-port 9901", id="gateway"),
        pytest.param(
            "xds-server bootstrap sidecar --app shop --component web --build 9f1c2d7e --xds [::1]:18000", id="sidecar"
        ),
    ],
)
def test_what_the_sample_gives(line: str, golden: Golden) -> None:
    golden.check("output.txt", shown(run(line.format(shop=SAMPLE))))


def test_the_demo(golden: Golden) -> None:
    text = StringIO()
    console = Console(file=text, width=100, highlight=False, soft_wrap=True)
    demo._say(console, demo.Running(10000, Path("/tmp/demo/records"), 18001, 9901), "xdsctl")

    golden.check("output.txt", text.getvalue())


def test_the_demo_tells_of_problems_and_of_their_end() -> None:
    text = StringIO()
    console = Console(file=text, width=100, highlight=False, soft_wrap=True)
    lost = Problem(
        Place("release.yaml", 1, 9), Reason.WEIGHTS, "has weights that sum to 90", "Change it", "Release/a/b"
    )
    moved = replace(lost, where=Place("release.yaml", 1, 12))
    for before, after in pairwise([(), (lost,), (moved,), ()]):
        demo.tell_change(console, before, after)

    assert text.getvalue().splitlines() == [
        "release.yaml:9 (document 1): error: Release/a/b: has weights that sum to 90. Change it. [Weights]",
        "put right: Release/a/b: has weights that sum to 90",
    ]


@pytest.mark.parametrize(
    ("envoy", "said"),
    [
        ("/nope/envoy", "the file /nope/envoy does not exist"),
        (__file__, "is no program that can be run"),
        ("no-such-envoy", "there is no no-such-envoy on PATH"),
    ],
)
def test_the_demo_needs_an_envoy(envoy: str, said: str) -> None:
    assert said in no_demo("--envoy", envoy)


def test_the_demo_says_how_to_choose_another_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "make demo PORT=10001" in no_demo("--port", str(taken.getsockname()[1]), "--envoy", "true")


def no_demo(*options: str) -> str:
    """Why it cannot run; in a process of its own, as it takes the log and the signals."""
    command = [str(BIN / "xds-server"), "demo", *options]
    environment = {**PLAIN, "PATH": os.environ["PATH"]}
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert found.returncode == 1
    return found.stdout


# --- a server that cannot start


def started(folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and what is said on stderr, but for log lines; the folder is called HOME."""
    command = [str(BIN / "xds-server"), "serve", "--records", str(SAMPLE), "--state", str(folder / "state"), *options]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=PLAIN)
    lines = [line for line in found.stderr.splitlines() if not line.startswith("{")]
    return found.returncode, "\n".join(lines).replace(str(folder), "HOME") + "\n"


def test_a_port_that_is_in_use(tmp_path: Path, golden: Golden) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = started(tmp_path, "--xds", f"127.0.0.1:{port}", "--admin", "127.0.0.1:0")

    assert code == 1
    golden.check("stderr.txt", said.replace(port, "PORT"))


def test_a_state_folder_that_is_a_file(tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "state").write_text("")
    code, said = started(tmp_path, "--xds", "127.0.0.1:0", "--admin", "127.0.0.1:0")

    assert code == 1
    golden.check("stderr.txt", said)


# --- a terminal

SCRIPT = "import sys; from xds_server.cli.ctl import app; app(sys.argv[1:])"


def on_a_terminal(*words: str | Path) -> str:
    """What the command writes where it believes that a person looks."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "25"}
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as child:
        os.close(theirs)
        found = b""
        try:
            while piece := os.read(ours, 1 << 16):
                found += piece
        except OSError:  # the other end is closed: how Linux says that all is read
            pass
        finally:
            os.close(ours)
        child.wait()
    return found.decode()


def canary(folder: Path) -> Path:
    made = folder / "canary"
    shutil.copytree(SAMPLE, made)
    text = (made / "release.yaml").read_text("utf-8")
    (made / "release.yaml").write_text(
        text.replace("v1, weight: 100", "v1, weight: 90").replace("v2, weight: 0", "v2, weight: 10")
    )
    return made


ON_A_TERMINAL: Mapping[str, Callable[[Path], tuple[str | Path, ...]]] = {
    "check": lambda _: ("check", SAMPLE),
    "diff": lambda folder: ("diff", SAMPLE, canary(folder)),
    "explain": lambda _: ("explain", SAMPLE, "http://shop.localhost:10000/"),
    "fields": lambda _: ("fields", "App"),
}


@pytest.mark.parametrize("command", ON_A_TERMINAL)
def test_colours_are_for_terminals_and_a_pipe_gets_plain_text(command: str, tmp_path: Path) -> None:
    words = ON_A_TERMINAL[command](tmp_path)

    assert "\x1b[" in on_a_terminal(*words)
    assert "\x1b[" not in CliRunner().invoke(ctl, [*map(str, words)]).output
