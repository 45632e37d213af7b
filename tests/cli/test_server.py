import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from xds_server import __version__
from xds_server.cli.server import app

BIN = Path(sys.executable).parent
HEAVY = ("grpc", "google.protobuf", "envoy_data_plane", "pydantic", "fastapi", "uvicorn", "structlog", "yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    "command", [(), ("serve",), ("bootstrap",), ("bootstrap", "gateway"), ("demo",), ("run",)], ids=" ".join
)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize("program", ["xds_server.cli.server", "xds_server.cli.ctl"])
def test_help_loads_nothing_heavy(program: str) -> None:
    """Only what its own words need: Envoy's messages alone take half a second to load."""
    script = (
        "import sys; from typer.testing import CliRunner;"
        f"from {program} import app; CliRunner().invoke(app, ['--help']); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert not {*HEAVY} & {*loaded}


@pytest.mark.parametrize("program", ["xds-server", "xdsctl"])
def test_both_programs_are_installed(program: str) -> None:
    found = subprocess.run([BIN / program, "--version"], capture_output=True, text=True, check=True)

    assert found.stdout == f"{program} {__version__}\n"
