"""The product as a child: `xds-server serve` on a folder of records."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter
from typer.testing import CliRunner

from e2e.support.client import answers
from e2e.support.processes import Child, free_ports
from xds_server.cli.server import app
from xds_server.cli.servers import asked

ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
BIN = Path(sys.executable).parent


class Mode(StrEnum):
    """The two xDS protocols."""

    DELTA = "delta"
    SOTW = "sotw"


class Server:
    """An xds-server whose ports, records and state outlive its process: it can be stopped, killed and started again."""

    def __init__(self, records: Path, directory: Path, *options: str) -> None:
        self.xds, self.admin = free_ports(2)
        self._directory = directory
        self._serve: Sequence[str | Path] = [
            *(BIN / "xds-server", "serve"),
            *("--records", records, "--state", directory / "state"),
            *("--xds", f"127.0.0.1:{self.xds}", "--admin", f"127.0.0.1:{self.admin}"),
            *options,
        ]
        self.start()

    def start(self) -> None:
        """Start, and wait until it is ready to serve."""
        self.child = Child("server", self._serve, self._directory)
        self.child.wait_ready(lambda: answers(self.admin, "/readyz"))

    def bootstrap(self, gateway: str, mode: Mode, admin_port: int, node: str, *more: str) -> dict[str, Any]:
        """What Envoy is started with, as the product's command prints it.

        In this process: in one of its own a second would be spent on reading Envoy's types.
        """
        command = ["bootstrap", "gateway", gateway, "--xds", f"127.0.0.1:{self.xds}"]
        options = ["--mode", mode, "--admin-port", str(admin_port), "--id", node, *more]
        printed = CliRunner().invoke(app, [*command, *options], catch_exceptions=False)
        assert printed.exit_code == 0, printed.output
        bootstrap: dict[str, Any] = yaml.safe_load(printed.stdout)
        return bootstrap

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, summed over its labels."""
        reply = answers(self.admin, "/metrics")
        assert reply is not None, "/metrics does not answer"
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(reply.body.decode()):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums

    def ask(self, path: str, said: Mapping[str, Any] | None = None) -> Any:
        """What the API answers to a GET, or to a POST of what is said. Raises `NoAnswer`."""
        return asked(f"127.0.0.1:{self.admin}", path, ANYTHING, None if said is None else json.dumps(said).encode())

    def problems(self) -> list[dict[str, Any]]:
        """What is wrong, as `GET /problems` says."""
        reply = answers(self.admin, "/problems")
        assert reply is not None, "/problems does not answer"
        found: list[dict[str, Any]] = reply.json
        return found

    def log(self) -> str:
        """Everything that was logged, by every process of this server since the first."""
        return self.child.log.read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stop()
