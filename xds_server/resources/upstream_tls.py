"""TLS to the instances of a build. What files hold comes by SDS, so that a new certificate changes no cluster."""

from collections.abc import Iterator
from datetime import timedelta

from xds_server.domain import names
from xds_server.domain.names import Ref
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    DataSource,
    StringMatcher,
    TransportSocket,
)
from xds_server.messages.extensions import (
    CertificateValidationContext,
    CommonTlsContext,
    CommonTlsContextCombinedCertificateValidationContext,
    SdsSecretConfig,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    UpstreamTlsContext,
)
from xds_server.records.models import UpstreamTls
from xds_server.resources.upstreams import Upstream

SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"
"""On the proxy's machine: Debian's and Alpine's place, and that of Envoy's own images."""
SECRETS = ConfigSource(
    ads=AggregatedConfigSource(),
    resource_api_version=ApiVersion.V3,
    initial_fetch_timeout=timedelta(seconds=1),
)
"""A cluster whose secret is not there does not hold up the others for long; its requests are answered 503."""


def transport_socket(upstream: Upstream) -> TransportSocket | None:
    if upstream.tls is None or upstream.record is None:
        return None
    common = CommonTlsContext(
        alpn_protocols=["h2"] if upstream.http2 else [],
        tls_certificate_sds_secret_configs=[_secret(names.identity(upstream.record))]
        if upstream.tls.certificate
        else [],
        validation_context=_system(upstream.tls) if upstream.tls.ca is None else None,
        combined_validation_context=None if upstream.tls.ca is None else _given(upstream.tls, upstream.record),
    )
    context = UpstreamTlsContext(sni=upstream.tls.server_name, common_tls_context=common)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def secrets_of(upstream: Upstream) -> Iterator[str]:
    """The names of what files hold for it."""
    if upstream.tls is None or upstream.record is None:
        return
    if upstream.tls.ca is not None:
        yield names.trust(upstream.record)
    if upstream.tls.certificate:
        yield names.identity(upstream.record)


def _system(tls: UpstreamTls) -> CertificateValidationContext:
    return CertificateValidationContext(
        trusted_ca=DataSource(filename=SYSTEM_TRUST), match_typed_subject_alt_names=[_server(tls)]
    )


def _given(tls: UpstreamTls, record: Ref) -> CommonTlsContextCombinedCertificateValidationContext:
    return CommonTlsContextCombinedCertificateValidationContext(
        default_validation_context=CertificateValidationContext(match_typed_subject_alt_names=[_server(tls)]),
        validation_context_sds_secret_config=_secret(names.trust(record)),
    )


def _server(tls: UpstreamTls) -> SubjectAltNameMatcher:
    """An exact DNS name; a wildcard in the certificate covers it, as in browsers."""
    return SubjectAltNameMatcher(
        san_type=SubjectAltNameMatcherSanType.DNS, matcher=StringMatcher(exact=tls.server_name)
    )


def _secret(name: str) -> SdsSecretConfig:
    return SdsSecretConfig(name=name, sds_config=SECRETS)
