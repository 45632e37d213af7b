import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from xds_server.cli.server import app

BIN = Path(sys.executable).parent


def run(*arguments: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200", **environment})


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        pytest.param((), {}, "--records", id="nothing"),
        pytest.param(("--records", "a"), {}, "--state", id="no-state"),
        pytest.param(("--records", "a", "--state", "b", "--xds", "nowhere"), {}, "is not HOST:PORT", id="no-port"),
        pytest.param(
            ("--records", "a", "--state", "b"), {"XDS_SERVER_ADMIN": "x"}, "is not HOST:PORT", id="environment"
        ),
        pytest.param(("--records", "a", "--state", "b", "--log-format", "xml"), {}, "xml", id="no-such-format"),
    ],
)
def test_serve_says_what_it_lacks(arguments: tuple[str, ...], environment: dict[str, str], said: str) -> None:
    result = run("serve", *arguments, **environment)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("record = 'a'", "says 'record', which is none of", id="an-unknown-option"),
        pytest.param("records = ", "cannot be read", id="not-toml"),
        pytest.param("xds = '1'", "is not HOST:PORT", id="a-wrong-value"),
        pytest.param("xds = 5", "'5' is not HOST:PORT", id="a-number"),
        pytest.param("xds = {host = 'a'}", "xds is no value of an option", id="a-table"),
        pytest.param("extension = [1]", "extension is no value of an option", id="a-list-of-numbers"),
        pytest.param("no_probe = 'perhaps'", "valid boolean", id="no-flag"),
        pytest.param("no_probe = true\nextension_timeout = 2.5\nxds = '1'", "'1' is not HOST:PORT", id="good-values"),
        pytest.param(None, "cannot be read", id="no-file"),
    ],
)
def test_serve_says_what_is_wrong_with_its_file(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "server.toml"
    if text is not None:
        file.write_text(text, "utf-8")

    result = run("serve", "--config", file, "--records", tmp_path, "--state", tmp_path / "state")

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", "").split())


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    """Ports that are in use tell which one was tried."""
    with ExitStack() as held:
        in_use = [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)]
        by_file, by_environment, by_flag = (f"127.0.0.1:{port}" for port in in_use)
        file = tmp_path / "server.toml"
        file.write_text(f"records = '{tmp_path}'\nstate = '{tmp_path}/state'\nadmin = '{by_file}'\n", "utf-8")

        def tried(*arguments: str, **environment: str) -> str:
            command = [str(BIN / "xds-server"), "serve", "--config", str(file), *arguments]
            found = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
            assert found.returncode == 1
            return found.stderr

        assert f"--admin {by_file}:" in tried()
        assert f"--admin {by_environment}:" in tried(XDS_SERVER_ADMIN=by_environment)
        assert f"--admin {by_flag}:" in tried("--admin", by_flag, XDS_SERVER_ADMIN=by_environment)
