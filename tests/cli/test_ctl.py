import pytest
from typer.testing import CliRunner, Result

from xds_server import __version__
from xds_server.cli.ctl import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", [(), ("check",), ("render",), ("builds",), ("fields",), ("schema",)], ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert run(*command, "-h").stdout == result.stdout


def test_without_a_command_the_help_is_shown() -> None:
    assert "Usage" in run().output


def test_its_version() -> None:
    assert run("--version").stdout == f"xdsctl {__version__}\n"
