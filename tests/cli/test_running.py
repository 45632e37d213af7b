"""`xds-server run` with programs in Envoy's place; on real ones it is tried in `e2e/test_shutdown.py`."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from xds_server.cli.envoys import NoEnvoy
from xds_server.cli.running import NoAdmin, command

BIN = Path(sys.executable).parent
PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def bootstrap(folder: Path, host: str = "127.0.0.1", role: str = "gateway", port: int = 9) -> Path:
    said: dict[str, Any] = {
        "node": {"metadata": {"role": role}},
        "admin": {"address": {"socket_address": {"address": host, "port_value": port}}},
    }
    file = folder / "envoy.json"
    file.write_text(json.dumps(said))
    return file


def program(folder: Path, script: str) -> Path:
    file = folder / "envoy"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


@contextmanager
def running(folder: Path, script: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """With a shell script in Envoy's place, which ends when its standard input does."""
    line = [str(BIN / "xds-server"), "run", str(bootstrap(folder)), "--envoy", str(program(folder, script)), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=PLAIN, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        yield child


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + 9), ("kill -TERM $$", 128 + 15)]
)
def test_the_exit_code_is_envoys(script: str, code: int, tmp_path: Path) -> None:
    with running(tmp_path, script) as child:
        assert child.wait(20) == code


def test_envoy_is_given_the_bootstrap_and_what_comes_after_two_dashes(tmp_path: Path) -> None:
    with running(tmp_path, 'echo "$@"', "--", "--concurrency", "2") as child:
        said, _ = child.communicate(timeout=20)

    assert said.split() == ["-c", str(tmp_path / "envoy.json"), "--disable-hot-restart", "--concurrency", "2"]


@pytest.mark.parametrize(("number", "said"), [(signal.SIGTERM, "cannot be told to drain"), (signal.SIGUSR1, "")])
def test_an_envoy_that_does_not_answer_is_ended_at_once_and_other_signals_are_passed_on(
    number: signal.Signals, said: str, tmp_path: Path
) -> None:
    traps = "trap 'exit 3' TERM; trap 'exit 3' USR1"
    with running(tmp_path, f"{traps}; echo here; while read line; do :; done") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.send_signal(number)

        assert child.wait(20) == 3
        assert child.stderr is not None
        assert said in child.stderr.read()


@pytest.mark.parametrize(("text", "why"), [("node: {}", "is no bootstrap in JSON"), ("[]", "has no admin interface")])
def test_without_an_admin_interface_it_does_not_start_and_says_what_to_do(text: str, why: str, tmp_path: Path) -> None:
    bootstrap(tmp_path).write_text(text)
    found = subprocess.run(
        [BIN / "xds-server", "run", tmp_path / "envoy.json"], capture_output=True, text=True, check=False, timeout=20
    )

    assert found.returncode == 1
    assert found.stderr.startswith(f"xds-server run: {tmp_path / 'envoy.json'} {why}")


def test_a_bootstrap_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(NoAdmin, match=r"nowhere\.json cannot be read: No such file or directory"):
        command("", tmp_path / "nowhere.json", [])


def test_an_admin_interface_that_others_can_reach_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoAdmin, match=r"on 0\.0\.0\.0, where others can reach it: use 127\.0\.0\.1"):
        command("", bootstrap(tmp_path, host="0.0.0.0"), [])


@pytest.mark.parametrize("host", ["::1", "127.0.0.2"])
def test_every_loopback_address_will_do(host: str, tmp_path: Path) -> None:
    assert command("", bootstrap(tmp_path, host=host), []).admin.host == host


def test_a_sidecar_that_ends_still_carries_the_calls_of_its_application(tmp_path: Path) -> None:
    assert command("", bootstrap(tmp_path, role="sidecar"), []).refuse == "/drain_listeners?inboundonly"
    assert command("", bootstrap(tmp_path, role="gateway"), []).refuse == "/drain_listeners"


def test_an_envoy_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoEnvoy, match="there is no no-such-envoy on PATH"):
        command("no-such-envoy", bootstrap(tmp_path), [])
