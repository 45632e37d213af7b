"""Which sidecars are told the same."""

from typing import NamedTuple

from xds_server.domain.builds import BuildId


class Ports(NamedTuple):
    """Where a sidecar listens for calls of its application (`outbound`) and for callers (`inbound`).

    `application`: where its application listens on loopback. None: nothing calls it, and there is no `inbound`.
    """

    outbound: int = 15001
    inbound: int = 15006
    application: int | None = None


PORTS = Ports()
"""Where sidecars listen that are told nothing else."""


class Sidecar(NamedTuple):
    """A kind of sidecar: beside which build, and at which ports."""

    build: BuildId
    ports: Ports = PORTS

    @property
    def word(self) -> str:
        """As people see it: the name of the build."""
        return self.build.word
