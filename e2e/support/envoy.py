"""A real Envoy as a child, and what its admin interface says."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Self

from typing_extensions import override

from e2e.install_envoy import binary, install
from e2e.support.client import Client, answers
from e2e.support.processes import Child, wait_until


class EnvoyVersion(StrEnum):
    """The versions that the tests run on: the one of our environment, the oldest that is supported, and for what began
    with 1.37 those in between.
    """

    CURRENT = "1.40.0"
    FLOOR = "1.36.4"
    V37 = "1.37.0"
    V38 = "1.38.3"
    V39 = "1.39.3"

    @cache
    def binary(self) -> Path:
        return binary(Path(sys.prefix)) if self is EnvoyVersion.CURRENT else install(self)


DRAIN, QUIET = "8s", "500ms"
"""How long one has to end, and how long nobody must have come."""
USUAL = ("--concurrency", "1", "-l", "warning", "--file-flush-interval-msec", "50")


class Envoy:
    """One Envoy with the bootstrap `bootstrap`, whose admin interface listens on the port that is named there."""

    def __init__(
        self,
        version: EnvoyVersion,
        bootstrap: Mapping[str, Any],
        directory: Path,
        node: str | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.admin_port = int(bootstrap["admin"]["address"]["socket_address"]["port_value"])
        config = directory / f"envoy-{self.admin_port}.json"
        config.write_text(json.dumps(bootstrap))
        named = ["--service-node", node] if node else []
        command = self._command(version.binary(), config)
        self.child = Child(f"envoy-{self.admin_port}", [*command, *USUAL, *named, *arguments], directory)
        self._admin = Client(self.admin_port)

    def _command(self, binary: Path, config: Path) -> list[str | Path]:
        return [binary, "-c", config, "--use-dynamic-base-id"]

    def wait_live(self) -> None:
        """The admin interface answers; listeners may still wait for their control plane."""
        self.child.wait_ready(lambda: answers(self.admin_port, "/server_info"))

    def wait_ready(self) -> None:
        """Every listener is there and every cluster is warm."""
        self.child.wait_ready(lambda: answers(self.admin_port, "/ready"))

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Counters and gauges by name; with `pattern`, those whose name it matches."""
        text = self._admin.get("localhost", f"/stats?filter={pattern}").body.decode()
        pairs = (line.rpartition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    def stat(self, name: str) -> int:
        """One counter or gauge; what Envoy does not know yet is 0."""
        return self.stats(f"^{name.replace('.', '[.]')}$").get(name, 0)

    def total(self, pattern: str) -> int:
        return sum(self.stats(pattern).values())

    def wait_stat(self, name: str, at_least: int, within: float = 30.0) -> None:
        wait_until(lambda: self.stat(name) >= at_least, f"{name} >= {at_least}", within)

    def config_dump(self) -> list[dict[str, Any]]:
        """Everything that Envoy holds, endpoints included: a list of `{"@type": ..., ...}`."""
        configs: list[dict[str, Any]] = self._admin.get("localhost", "/config_dump?include_eds").json["configs"]
        return configs

    def endpoints(self) -> dict[str, set[str]]:
        """The endpoint assignments that were sent by a control plane: EDS name to addresses."""
        return {each["cluster_name"]: _addresses(each) for each in self._assignments()}

    def weights(self) -> dict[str, list[int]]:
        """How much the instances of each assignment count, in order."""
        return {
            each["cluster_name"]: sorted(member.get("load_balancing_weight", 1) for member in _members(each))
            for each in self._assignments()
        }

    def _assignments(self) -> Iterator[dict[str, Any]]:
        dumps = (dump for dump in self.config_dump() if dump["@type"].endswith("EndpointsConfigDump"))
        return (each["endpoint_config"] for dump in dumps for each in dump.get("dynamic_endpoint_configs", []))

    def resources(self) -> dict[str, Any]:
        """Every listener, cluster, route configuration and virtual host that a control plane sent, by kind and name."""
        dumped = {
            "listener": ("dynamic_listeners", lambda each: each["active_state"]["listener"]),
            "cluster": ("dynamic_active_clusters", lambda each: each["cluster"]),
            "route_config": ("dynamic_route_configs", lambda each: each["route_config"]),
        }
        found = {
            f"{kind}/{body['name']}": body
            for dump in self.config_dump()
            for kind, (field, body_of) in dumped.items()
            for body in map(body_of, filter(_in_use, dump.get(field, [])))
        }
        hosts = [host for body in found.values() for host in body.pop("virtual_hosts", [])]
        return found | {f"virtual_host/{host['name']}": host for host in hosts}

    def wait_endpoints(self, name: str, addresses: set[str]) -> None:
        wait_until(lambda: self.endpoints().get(name) == addresses, f"{name} is at {addresses}")

    def close(self) -> None:
        self._admin.close()
        self.child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RunEnvoy(Envoy):
    """One that `xds-server run` has started; `child` is that command."""

    @override
    def _command(self, binary: Path, config: Path) -> list[str | Path]:
        program = Path(sys.executable).parent / "xds-server"
        return [program, "run", config, "--envoy", binary, "--drain", DRAIN, "--quiet", QUIET, "--"]


def _members(assignment: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (member for locality in assignment.get("endpoints", []) for member in locality.get("lb_endpoints", []))


def _addresses(assignment: Mapping[str, Any]) -> set[str]:
    sockets = (member["endpoint"]["address"]["socket_address"] for member in _members(assignment))
    return {f"{each['address']}:{each['port_value']}" for each in sockets}


def _in_use(dumped: dict[str, Any]) -> bool:
    """A listener that is only warming or draining has no active state."""
    return "active_state" in dumped or not ({"warming_state", "draining_state", "error_state"} & dumped.keys())
