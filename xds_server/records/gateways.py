"""Record `Gateway`: an Envoy at the edge."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from xds_server.domain.names import CONTEXT_HEADER
from xds_server.records.record import RecordBase
from xds_server.records.values import (
    Flag,
    HeaderName,
    HostTemplate,
    Ip,
    Label,
    Model,
    Parameter,
    Text,
    Whole,
)


class ListenerTls(Model):
    """Which of the gateway's secrets a listener shows."""

    secret: Label


class Listener(Model):
    """An address and port that a gateway listens on."""

    name: Label
    address: Ip = "0.0.0.0"  # noqa: S104 - an edge listens to the world unless told otherwise
    port: Whole = Field(ge=1, le=65535)
    tls: ListenerTls | None = None


class SecretFiles(Model):
    """A certificate chain and its key: PEM files, relative to the records."""

    certificate: Text
    private_key: Text = Field(alias="privateKey")


class Access(StrEnum):
    """Whether explicit requests are served at a gateway or answered 403."""

    OPEN = "open"
    DENIED = "denied"


RESERVED_HEADERS = (
    CONTEXT_HEADER,
    "authorization",
    "baggage",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
    "x-served-deployment",
    "x-served-rule",
)
"""Headers that mean something else already: a selector is taken off the request."""


def _free(header: str) -> str:
    if header in RESERVED_HEADERS:
        raise ValueError(f"may not be {header!r}, which means something else and would be taken off every request")
    return header


class Explicit(Model):
    """Which selectors exist at a gateway. They are tried in the order host, query, header, and always stripped."""

    access: Access = Access.OPEN
    host: HostTemplate | None = None
    header: Annotated[HeaderName, AfterValidator(_free)] | None = None
    query: Parameter | None = None


class Reveal(Model):
    """What answers say about where they came from: `x-served-deployment`, `x-served-rule`."""

    deployment: Flag = False
    rule: Flag = False


def _apart(listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    names = {listener.name for listener in listeners}
    places = {(listener.address, listener.port) for listener in listeners}
    if len(names) < len(listeners) or len(places) < len(listeners):
        raise ValueError("must differ in name and in address and port")
    return listeners


class GatewaySpec(Model):
    """What an Envoy at the edge listens on, and which selectors it reads."""

    listeners: Annotated[tuple[Listener, ...], Field(min_length=1), AfterValidator(_apart)]
    secrets: dict[Label, SecretFiles] = Field(default_factory=dict)
    explicit: Explicit | None = None
    reveal: Reveal = Reveal()

    @model_validator(mode="after")
    def _known_secrets(self) -> Self:
        unknown = [t.tls.secret for t in self.listeners if t.tls and t.tls.secret not in self.secrets]
        if unknown:
            raise ValueError(f"a listener names the secret {unknown[0]!r}, which secrets does not have")
        return self


class Gateway(RecordBase):
    """Record: an Envoy at the edge."""

    kind: Literal["Gateway"]
    spec: GatewaySpec
