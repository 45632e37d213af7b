"""Certificates and keys as Envoy asks for them (SDS)."""

from xds_server.messages.envoy import DataSource
from xds_server.messages.extensions import CertificateValidationContext, TlsCertificate
from xds_server.messages.extensions import Secret as EnvoySecret
from xds_server.records.secrets import Secret
from xds_server.resources.content import resource
from xds_server.snapshot import Resource


def secret_resource(name: str, secret: Secret) -> Resource:
    if secret.authorities:
        trusted = CertificateValidationContext(trusted_ca=DataSource(inline_string=secret.authorities))
        return resource(name, EnvoySecret(name=name, validation_context=trusted))
    pair = TlsCertificate(
        certificate_chain=DataSource(inline_string=secret.certificate),
        private_key=DataSource(inline_string=secret.private_key),
    )
    return resource(name, EnvoySecret(name=name, tls_certificate=pair))
