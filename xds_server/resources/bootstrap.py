"""What an Envoy is started with: who it is, and where its control plane is. Everything else comes over ADS."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from xds_server.domain.addresses import Address, is_ip
from xds_server.domain.sidecars import PORTS, Ports
from xds_server.domain.versions import OLDEST, Minor
from xds_server.messages.codec import encode, pack, to_json, type_url
from xds_server.messages.envoy import Address as EnvoyAddress
from xds_server.messages.envoy import (
    Admin,
    AggregatedConfigSource,
    ApiConfigSource,
    ApiConfigSourceApiType,
    ApiVersion,
    BackoffStrategy,
    Bootstrap,
    BootstrapDynamicResources,
    BootstrapStaticResources,
    ConfigSource,
    CoreRetryPolicy,
    DataSource,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Node,
    SocketAddress,
    StringMatcher,
    TransportSocket,
    TypedExtensionConfig,
)
from xds_server.messages.extensions import (
    CaresDnsResolverConfig,
    CertificateValidationContext,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    UpstreamTlsContext,
)
from xds_server.messages.google import Struct, Value
from xds_server.resources.overload import RUNTIME, Limits, overload_manager
from xds_server.resources.static_clusters import grpc_cluster
from xds_server.resources.telemetry import stats_config, stats_sink

XDS_CLUSTER = "xds-server"
API_TYPES = {"delta": ApiConfigSourceApiType.DELTA_GRPC, "sotw": ApiConfigSourceApiType.GRPC}
RECONNECT = CoreRetryPolicy(
    retry_back_off=BackoffStrategy(base_interval=timedelta(milliseconds=100), max_interval=timedelta(seconds=5))
)
"""A server that restarts is found again soon; Envoy's own default waits up to 30 s."""
RESOLVER = TypedExtensionConfig(
    name="envoy.network.dns_resolver.cares",
    typed_config=pack(CaresDnsResolverConfig(query_timeout_seconds=1, query_tries=2)),
)
"""A cluster is warm once its name is resolved or is known not to be, and no cluster that comes after it can be sent
before. So a name server that says nothing is given 3 s: Envoy's own default waits for more than a minute.
"""


UNTIL_TOLD = ConfigSource(
    ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3, initial_fetch_timeout=timedelta(0)
)
"""Envoy is ready when it knows what to listen on. By its own default it is after 30 s, whatever it knows, and whoever
asks `/ready` would send it requests.
"""


STATS_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class XdsTls:
    """TLS to the control plane, by files on the proxy's machine that Envoy reads when it starts.

    `ca` are the authorities of the server's certificate, which must have `name`: a DNS name, or an IP address.
    `certificate` and `private_key` are what the proxy shows; empty: nothing.
    """

    ca: str
    name: str
    certificate: str = ""
    private_key: str = ""


@dataclass(frozen=True, slots=True)
class ProxyNode:
    """An Envoy, and where its control plane is.

    `cluster` and `metadata` say what it is (`of_gateway`, `of_sidecar`). `id` empty: it is given when Envoy is started
    (`--service-node`). `admin_port` None: no admin interface; it listens on loopback only. `limits` None: whoever
    connects is trusted. `tls` None: what travels is readable, private keys too. `stats_interval`: how often it tells
    what became of requests. `envoy`: which version understands all of it.
    """

    cluster: str
    metadata: tuple[tuple[str, str], ...]
    xds: Address
    mode: str = "delta"
    id: str = ""
    admin_port: int | None = None
    limits: Limits | None = None
    tls: XdsTls | None = None
    stats_interval: timedelta = STATS_INTERVAL
    envoy: Minor = OLDEST

    @classmethod
    def of_gateway(cls, name: str, xds: Address) -> Self:
        """An Envoy that serves the gateway of this name."""
        return cls(name, (("role", "gateway"),), xds, limits=Limits())

    @classmethod
    def of_sidecar(cls, component: str, build: str, xds: Address, ports: Ports = PORTS) -> Self:
        """An Envoy beside one build; `component` is `app/component`."""
        said = [("outbound", ports.outbound)]
        if ports.application is not None:
            said += [("inbound", ports.inbound), ("application", ports.application)]
        where = tuple((name, str(port)) for name, port in said)
        return cls(component, (("role", "sidecar"), ("build", build), *where), xds)


def bootstrap(node: ProxyNode) -> dict[str, object]:
    """Envoy's bootstrap as proto JSON. Envoy reads JSON as it is; its YAML reader takes `id: n` for false."""
    ads = ApiConfigSource(
        api_type=API_TYPES[node.mode],
        transport_api_version=ApiVersion.V3,
        grpc_services=[GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=XDS_CLUSTER, retry_policy=RECONNECT))],
        set_node_on_first_message_only=True,
    )
    metadata = Struct(fields={name: Value(string_value=value) for name, value in node.metadata})
    message = Bootstrap(
        node=Node(id=node.id, cluster=node.cluster, metadata=metadata),
        admin=_admin(node.admin_port),
        typed_dns_resolver_config=RESOLVER,
        static_resources=BootstrapStaticResources(
            clusters=[grpc_cluster(XDS_CLUSTER, node.xds, _transport_socket(node.tls))]
        ),
        stats_sinks=[stats_sink(XDS_CLUSTER, node.id, node.envoy)],
        stats_config=stats_config(),
        stats_flush_interval=node.stats_interval,
        layered_runtime=RUNTIME if node.limits else None,
        overload_manager=overload_manager(node.limits) if node.limits else None,
        dynamic_resources=BootstrapDynamicResources(ads_config=ads, cds_config=UNTIL_TOLD, lds_config=UNTIL_TOLD),
    )
    return to_json(type_url(Bootstrap), encode(message))


def _transport_socket(tls: XdsTls | None) -> TransportSocket | None:
    if tls is None:
        return None
    shown = TlsCertificate(
        certificate_chain=DataSource(filename=tls.certificate), private_key=DataSource(filename=tls.private_key)
    )
    ip = is_ip(tls.name)
    kind = SubjectAltNameMatcherSanType.IP_ADDRESS if ip else SubjectAltNameMatcherSanType.DNS
    server = SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=tls.name))
    common = CommonTlsContext(
        alpn_protocols=["h2"],
        tls_certificates=[shown] if tls.certificate else [],
        validation_context=CertificateValidationContext(
            trusted_ca=DataSource(filename=tls.ca), match_typed_subject_alt_names=[server]
        ),
    )
    context = UpstreamTlsContext(sni="" if ip else tls.name, common_tls_context=common)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _admin(port: int | None) -> Admin | None:
    if port is None:
        return None
    address = EnvoyAddress(socket_address=SocketAddress(address="127.0.0.1", port_value=port))
    return Admin(address=address, ignore_global_conn_limit=True)
