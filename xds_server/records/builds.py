"""Record `Build`: where a build runs."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from xds_server.records.record import RecordBase
from xds_server.records.values import (
    DnsAddress,
    Flag,
    HostName,
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
    means,
)


class Protocol(StrEnum):
    """What the instances of a build speak."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    GRPC = "grpc"


class Endpoint(Model):
    """One instance of a build. A draining one finishes what it has and gets no new request."""

    address: Annotated[SocketAddress, means("Where it listens.", "10.0.0.4:8080", "Endpoint.address")]
    zone: Annotated[
        Text,
        means("Where it is, for statistics. It does not steer requests.", "b", "LocalityLbEndpoints.locality.zone"),
    ] = ""
    weight: Annotated[
        Whole,
        means(
            "Its share of requests, against the others'. `loadBalancer: random` takes no notice.",
            2,
            "LbEndpoint.load_balancing_weight",
        ),
    ] = Field(default=1, ge=1, le=128)
    priority: Annotated[
        Whole,
        means(
            "0 is asked first. A higher number is a reserve: asked when too few of those before it are well.",
            1,
            "LocalityLbEndpoints.priority",
        ),
    ] = Field(default=0, ge=0, le=127)
    draining: Annotated[
        Flag,
        means(
            "It finishes what it has and gets no new request, as long as another instance is there.",
            True,
            "LbEndpoint.health_status",
        ),
    ] = False


class Endpoints(OneOf):
    """Where a build runs: addresses, or one name that DNS resolves."""

    ways: ClassVar = ("addresses", "dns")

    addresses: Annotated[
        tuple[Annotated[Endpoint, OrPlain(SocketAddress)], ...] | None,
        means(
            "The instances: `IP:port`, or a mapping where there is more to say of one.",
            ["10.0.0.4:8080", {"address": "10.0.0.5:8080", "zone": "b", "weight": 2}],
            "ClusterLoadAssignment.endpoints",
        ),
    ] = None
    dns: Annotated[
        DnsAddress | None,
        means(
            "A name and port: every address that the proxy's DNS gives for it is an instance, of one priority.",
            "web.internal:8080",
            "Cluster.load_assignment",
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _plain_addresses(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("addresses"), list):
            plain = [{"address": a} if isinstance(a, str) else a for a in value["addresses"]]
            return {**value, "addresses": plain}
        return value

    @property
    def take_requests(self) -> bool:
        """There is one that is not draining."""
        return self.dns is not None or any(not each.draining for each in self.addresses or ())


class HealthCheck(Model):
    """How a proxy asks each instance whether it is well; one that is not gets no request.

    By HTTP: a GET, and any 2xx is well. By gRPC's health protocol if the build speaks `grpc`. Every deployment's
    cluster asks for itself; the question names no deployment.
    """

    path: Annotated[Path, means("What is asked for.", "/healthz", "HealthCheck.HttpHealthCheck.path")] = "/"
    service: Annotated[
        Text,
        means(
            "`grpc` only: the service that is asked about; empty: the server as a whole.",
            "shop.Cart",
            "HealthCheck.GrpcHealthCheck.service_name",
        ),
    ] = ""
    host: Annotated[
        HostName | None,
        means(
            "The Host that is sent. Absent: the TLS server name, else the DNS name, else `<component>.<app>`.",
            "web.internal",
            "HealthCheck.HttpHealthCheck.host",
        ),
    ] = None
    interval: Annotated[
        Interval,
        means(
            "How often. Where a deployment has had no request yet, healthy ones are asked twelve times less often, "
            "but every minute.",
            "5s",
            "HealthCheck.interval",
        ),
    ] = timedelta(seconds=5)
    timeout: Annotated[Interval, means("An answer later than this is none.", "1s", "HealthCheck.timeout")] = timedelta(
        seconds=1
    )
    healthy_threshold: Annotated[
        Whole,
        means(
            "So many good answers in a row bring an instance back. A new one whose first answer is good needs no more.",
            2,
            "HealthCheck.healthy_threshold",
        ),
    ] = Field(default=2, alias="healthyThreshold", ge=1)
    unhealthy_threshold: Annotated[
        Whole, means("So many bad answers in a row take an instance out.", 2, "HealthCheck.unhealthy_threshold")
    ] = Field(default=2, alias="unhealthyThreshold", ge=1)


class UpstreamTls(Model):
    """The instances are spoken to by TLS and must prove who they are."""

    server_name: Annotated[
        HostName,
        means("The DNS name that their certificate must have; sent as SNI.", "web.internal", "UpstreamTlsContext.sni"),
    ] = Field(alias="serverName")
    ca: Annotated[
        Text | None,
        means(
            "PEM file of the authorities that may have signed it, relative to the records. "
            "Absent: those that the proxy's machine trusts (/etc/ssl/certs/ca-certificates.crt).",
            "certs/ca.pem",
            "CertificateValidationContext.trusted_ca",
        ),
    ] = Field(default=None, min_length=1)
    certificate: Annotated[
        Text | None,
        means(
            "PEM file of the certificate that the proxy shows them.",
            "certs/edge.pem",
            "TlsCertificate.certificate_chain",
        ),
    ] = Field(default=None, min_length=1)
    private_key: Annotated[
        Text | None, means("PEM file of its key.", "certs/edge.key", "TlsCertificate.private_key")
    ] = Field(default=None, alias="privateKey", min_length=1)

    @model_validator(mode="after")
    def _a_pair(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("must have certificate and privateKey, or neither")
        return self


class BuildSpec(Model):
    """A component of an app at one content hash, and where it runs."""

    app: Annotated[Word, means("The app that it is a part of.", "shop")]
    component: Annotated[Label, means("Which part.", "web")]
    build: Annotated[Quoted, means("Its content identity: image digest, git or artifact hash, quoted.", "9f1c2d7e")]
    protocol: Annotated[
        Protocol, means("What its instances speak.", "http1", "HttpProtocolOptions.explicit_http_config")
    ] = Protocol.HTTP1
    endpoints: Annotated[
        Endpoints, means("Where it runs: `addresses` or `dns`.", {"addresses": ["10.0.0.4:8080"]}, "Cluster.type")
    ]
    health_check: Annotated[
        HealthCheck | None,
        means(
            "How instances are asked whether they are well. Absent: they are not.",
            {"path": "/healthz"},
            "Cluster.health_checks",
        ),
    ] = Field(default=None, alias="healthCheck")
    probes: Annotated[
        tuple[Path, ...],
        means(
            "Paths that its sidecar lets through without a context, besides that of `healthCheck`: scrapes, probes.",
            ["/metrics"],
            "Matcher.matcher_list",
        ),
    ] = ()
    tls: Annotated[
        UpstreamTls | None,
        means("TLS to the instances. Absent: none.", {"serverName": "web.internal"}, "Cluster.transport_socket"),
    ] = None

    @model_validator(mode="after")
    def _a_check_that_it_understands(self) -> Self:
        said = self.health_check.model_fields_set if self.health_check else frozenset[str]()
        wrong = "path" if self.protocol is Protocol.GRPC else "service"
        if wrong in said:
            raise ValueError(f"must have no healthCheck.{wrong}: its protocol is {self.protocol}")
        return self

    @property
    def agreed(self) -> Mapping[str, object]:
        """What all records of one build must say alike, by field: the clusters of the build are made from it."""
        return {
            "protocol": self.protocol,
            "endpoints": "dns" if self.endpoints.dns is not None else "addresses",
            "healthCheck": self.health_check,
            "tls": self.tls,
        }


class Build(RecordBase):
    """Record: where a build runs. Endpoints belong to the build, never to a version."""

    kind: Literal["Build"]
    spec: BuildSpec
