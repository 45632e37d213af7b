"""Record `Build`: where a build runs."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from xds_server.records.record import RecordBase
from xds_server.records.values import (
    DnsAddress,
    Flag,
    Interval,
    Label,
    Model,
    OneOf,
    OrPlain,
    Path,
    Quoted,
    SocketAddress,
    Text,
    Whole,
    Word,
)


class Protocol(StrEnum):
    """What the instances of a build speak."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    GRPC = "grpc"


class Endpoint(Model):
    """One instance of a build. A draining one finishes what it has and gets no new request."""

    address: SocketAddress
    zone: Text = ""
    weight: Whole = Field(default=1, ge=1, le=128)
    draining: Flag = False


class Endpoints(OneOf):
    """Where a build runs: addresses, or one name that DNS resolves."""

    ways: ClassVar = ("addresses", "dns")

    addresses: tuple[Annotated[Endpoint, OrPlain(SocketAddress)], ...] | None = None
    dns: DnsAddress | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_addresses(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("addresses"), list):
            plain = [{"address": a} if isinstance(a, str) else a for a in value["addresses"]]
            return {**value, "addresses": plain}
        return value


class HealthCheck(Model):
    """How the server and Envoy ask an instance whether it is well."""

    path: Path = "/"
    interval: Interval = timedelta(seconds=5)
    timeout: Interval = timedelta(seconds=1)


class BuildSpec(Model):
    """A component of an app at one content hash, and where it runs."""

    app: Word
    component: Label
    build: Quoted
    protocol: Protocol = Protocol.HTTP1
    endpoints: Endpoints
    health_check: HealthCheck | None = Field(default=None, alias="healthCheck")


class Build(RecordBase):
    """Record: where a build runs. Endpoints belong to the build, never to a version."""

    kind: Literal["Build"]
    spec: BuildSpec
