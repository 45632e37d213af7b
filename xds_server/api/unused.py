"""`/unused`: which deployments nothing uses any more, and letting them go."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Annotated, Protocol

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from xds_server.api.errors import UNKNOWN, wrong
from xds_server.api.unused_reports import Removal, Removed, UnusedReport
from xds_server.api.writing import ANSWERS, refused
from xds_server.difference.history import Word
from xds_server.difference.steering import CannotSteer
from xds_server.difference.unused import Unused
from xds_server.domain.names import Ref, ref

WEEK = 7 * 86400.0
CENTURY = 100 * 365 * 86400.0

OlderThan = Annotated[
    float,
    Query(alias="olderThan", ge=0, le=CENTURY, description="Seconds since it was first accepted; less is too new."),
]
OfApp = Annotated[str, Query(description="Only of this app: NAME, or NAMESPACE.NAME.")]


class Collecting(Protocol):
    """The deployments of a running server."""

    async def unused(self, older_than: timedelta, app: Ref | None) -> Sequence[tuple[Unused, int]] | None:
        """With the requests of the last hour. None: there is no such app."""

    async def remove(self, deployments: Collection[Ref], word: Word) -> tuple[str, ...]:
        """From which files. Raises `CannotSteer`."""


def unused_report(found: Unused, requests: int) -> UnusedReport:
    return UnusedReport(
        deployment=found.deployment.word,
        app=found.app.word,
        file=found.file,
        accepted=found.accepted,
        requests=requests,
        builds=tuple(each.word for each in found.builds),
    )


def unused_api(deployments: Collecting) -> APIRouter:
    api = APIRouter(tags=["records"])

    @api.get("/unused", summary="Which deployments nothing uses any more", responses=UNKNOWN)
    async def unused(older_than: OlderThan = WEEK, app: OfApp = "") -> list[UnusedReport]:
        """By app and name."""
        found = await deployments.unused(timedelta(seconds=older_than), ref(app) if app else None)
        if found is None:
            raise wrong(404, f"there is no app {app!r}: xdsctl get apps lists what there is")
        return [unused_report(*each) for each in found]

    @api.post(
        "/unused/remove",
        summary="Take deployments that nothing uses out of their files",
        responses=ANSWERS,
        response_model=Removed,
    )
    async def remove(asked: Removal) -> Removed | JSONResponse:
        """All of them, or none; 409 if one is used."""
        try:
            files = await deployments.remove(tuple(map(ref, asked.deployments)), asked.word)
        except CannotSteer as error:
            return refused(error)
        return Removed(deployments=asked.deployments, files=files)

    return api
