"""Deployments that nothing uses, as data: what the server says and commands read."""

from datetime import datetime

from pydantic import Field

from xds_server.api.release_reports import Said
from xds_server.api.writing_reports import Written


class UnusedReport(Said):
    """A deployment that no release gives or asks for, and that none can go back to."""

    deployment: str
    app: str
    file: str = Field(description="Which states it.")
    accepted: datetime = Field(description="When it was first accepted.")
    requests: int = Field(description="In the last hour: somebody may ask for it explicitly.")
    builds: tuple[str, ...] = Field(description="That no other deployment has when all of these have gone.")


class Removal(Written):
    """Which deployments go."""

    deployments: tuple[str, ...] = Field(min_length=1)


class Removed(Said):
    """What went, and the files that said so."""

    deployments: tuple[str, ...]
    files: tuple[str, ...]
