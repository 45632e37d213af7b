"""Record `App`: what holds for every deployment of an app."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from xds_server.records.gateways import AccessLog
from xds_server.records.record import RecordBase
from xds_server.records.values import (
    FORM,
    Duration,
    Model,
    Word,
    means,
)


class WithoutContext(StrEnum):
    """What a call without a context gets from a build that several deployments share."""

    RELEASED = "released"
    REFUSE = "refuse"


class FromRelease(Model):
    """A call without a context gets what this release gives a user."""

    release: Annotated[Word, means("Which release of the app.", "shop")]


def _form(value: object) -> str:
    return FORM + ("release" if isinstance(value, dict | FromRelease) else "word")


Callers = Annotated[
    Annotated[WithoutContext, Tag(FORM + "word")] | Annotated[FromRelease, Tag(FORM + "release")], Discriminator(_form)
]


class AppSpec(Model):
    """What holds for every deployment of an app."""

    without_context: Annotated[
        Callers,
        means("What a call without a context gets from a build that several deployments share.", "refuse"),
    ] = Field(default=WithoutContext.RELEASED, alias="withoutContext")
    access_log: Annotated[
        AccessLog | None,
        means(
            "Where the sidecars of its builds log each request. Absent: nowhere.",
            {"stdout": True},
            "HttpConnectionManager.access_log",
        ),
    ] = Field(default=None, alias="accessLog")
    drain: Annotated[Duration, means("How long a deployment that goes may finish what it has.", "1m")] = timedelta(
        seconds=30
    )


class App(RecordBase):
    """Record: what holds for every deployment of an app. Its name is the app's."""

    kind: Annotated[Literal["App"], means("Which record this is.", "App")]
    spec: Annotated[AppSpec, means("What it says.", {"drain": "1m"})]
