"""Record `Gateway`: an Envoy at the edge."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from xds_server.domain.names import CONTEXT_HEADER
from xds_server.records.listeners import Listener, Listeners, RedirectPort
from xds_server.records.record import RecordBase
from xds_server.records.values import (
    UNKNOWN_NAME,
    Flag,
    HeaderName,
    HostPort,
    HostTemplate,
    Interval,
    Label,
    Model,
    Parameter,
    Text,
    Whole,
    means,
)


class SecretFiles(Model):
    """A certificate chain and its key: PEM files, relative to the records."""

    certificate: Annotated[
        Text,
        means(
            "The file of the certificate and of those that lead to its authority, in this order.",
            "certs/edge.pem",
            "TlsCertificate.certificate_chain",
        ),
    ]
    private_key: Annotated[
        Text, means("The file of its key, without a passphrase.", "certs/edge.key", "TlsCertificate.private_key")
    ] = Field(alias="privateKey")


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

    access: Annotated[
        Access, means("Whether explicit requests are served (`open`) or answered 403 (`denied`).", "denied")
    ] = Access.OPEN
    host: Annotated[
        HostTemplate | None,
        means("A host for every deployment, of any app.", "{deployment}.preview.example.com", "VirtualHost.domains"),
    ] = None
    header: Annotated[
        HeaderName | None,
        AfterValidator(_free),
        means("The header that names a deployment of the host's app.", "x-explicit-deployment"),
    ] = None
    query: Annotated[
        Parameter | None,
        means(
            "The query parameter that names a deployment of the host's app.",
            "explicit-deployment",
            "HttpConnectionManager.early_header_mutation_extensions",
        ),
    ] = None


class Reveal(Model):
    """What answers say about where they came from."""

    deployment: Annotated[Flag, means("Answer with `x-served-deployment`.", True)] = False
    rule: Annotated[Flag, means("Answer with `x-served-rule`.", True)] = False


class Underscores(StrEnum):
    """What becomes of a request with a header whose name has an underscore."""

    REJECT = "reject"
    DROP = "drop"
    ALLOW = "allow"


class Http(Model):
    """What a gateway takes from its clients. The defaults are those of an edge: see `docs/gateways.md`."""

    trusted_hops: Annotated[
        Whole,
        Field(le=16),
        means(
            "How many proxies of ours stand in front, each adding its client to `x-forwarded-for`.",
            1,
            "HttpConnectionManager.xff_num_trusted_hops",
        ),
    ] = Field(default=0, alias="trustedHops")
    idle_timeout: Annotated[
        Interval,
        means(
            "A connection without a request is closed after this long.",
            "15m",
            "HttpConnectionManager.common_http_protocol_options.idle_timeout",
        ),
    ] = Field(default=timedelta(minutes=15), alias="idleTimeout")
    headers_kb: Annotated[
        Whole,
        Field(ge=1, le=8192),
        means(
            "How large all headers of a request may be, in KiB; beyond it is answered 431.",
            96,
            "HttpConnectionManager.max_request_headers_kb",
        ),
    ] = Field(default=60, alias="headersKb")
    underscores: Annotated[
        Underscores,
        means(
            "What becomes of a request with an underscore in a header's name, which some applications read as `-`.",
            "drop",
            "HttpConnectionManager.common_http_protocol_options.headers_with_underscores_action",
        ),
    ] = Underscores.REJECT


class Delivery(StrEnum):
    """How a gateway's proxies are told of hosts and clusters: of each when it is first asked for, or of all at once."""

    ON_DEMAND = "onDemand"
    FULL = "full"


class AccessLog(Model):
    """Where a proxy says what became of each request."""

    stdout: Annotated[
        Flag,
        means("A line of JSON for each request on Envoy's standard output.", False, "HttpConnectionManager.access_log"),
    ] = True
    otlp: Annotated[
        HostPort | None,
        means(
            "An OpenTelemetry collector that takes log records over gRPC, without TLS.",
            "otel-collector.internal:4317",
            "OpenTelemetryAccessLogConfig.common_config.grpc_service",
        ),
    ] = None


class GatewaySpec(Model):
    """What an Envoy at the edge listens on, and which selectors it reads."""

    listeners: Annotated[
        Listeners,
        means("The addresses and ports to listen on.", [{"name": "http", "port": 8080}]),
    ]
    secrets: Annotated[
        dict[Label, SecretFiles],
        means(
            "Certificates by name.",
            {"edge-cert": {"certificate": "certs/edge.pem", "privateKey": "certs/edge.key"}},
            "Secret.tls_certificate",
        ),
    ] = Field(default_factory=dict)
    explicit: Annotated[
        Explicit | None,
        means(
            "How a request may name its deployment. Absent: it cannot.", {"host": "{deployment}.preview.example.com"}
        ),
    ] = None
    reveal: Annotated[Reveal, means("What answers say about where they came from.", {"deployment": True})] = Reveal()
    access_log: Annotated[
        AccessLog,
        means(
            "Where each request is logged.",
            {"otlp": "otel-collector.internal:4317"},
            "HttpConnectionManager.access_log",
        ),
    ] = Field(default=AccessLog(), alias="accessLog")
    http: Annotated[Http, means("What is taken from clients.", {"trustedHops": 1})] = Http()
    delivery: Annotated[
        Delivery,
        means(
            "Whether a proxy is told of hosts and clusters when they are first asked for (`onDemand`: Envoy 1.37, and "
            "delta) or always of all (`full`).",
            "full",
            "RouteConfiguration.vhds",
        ),
    ] = Delivery.ON_DEMAND

    def https_port(self, listener: Listener) -> int:
        """Where a listener that redirects sends its clients."""
        if isinstance(listener.redirect, RedirectPort):
            return listener.redirect.port
        (secure,) = (each for each in self.listeners if each.tls is not None)
        return secure.port

    @model_validator(mode="after")
    def _known_secrets(self) -> Self:
        for index, listener in enumerate(self.listeners):
            for path, name in listener.tls.named if listener.tls else ():
                if name not in self.secrets:
                    what = "names the secret {name}, which spec.secrets does not have"
                    field = ("listeners", index, "tls", *path)
                    context = {"name": repr(name), "wanted": name, "field": field, "known": sorted(self.secrets)}
                    raise PydanticCustomError(UNKNOWN_NAME, what, context)
        return self


class Gateway(RecordBase):
    """Record: an Envoy at the edge."""

    kind: Annotated[Literal["Gateway"], means("Which record this is.", "Gateway")]
    spec: Annotated[GatewaySpec, means("What it says.", {"listeners": [{"name": "http", "port": 8080}]})]
