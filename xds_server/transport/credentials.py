"""Who may connect, and what the server shows: TLS on the xDS port, from files that may be renewed.

Private keys of gateways travel on that port (SDS), so anywhere but on loopback it should be encrypted, and proxies
should show certificates of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc
import structlog

from xds_server.domain.errors import XdsServerError
from xds_server.records.pem import KeyFault, PemFault, check_authorities, check_pair

log = structlog.get_logger()


class CredentialsUnusable(XdsServerError):
    """The files that the xDS port shall use for TLS cannot be used."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM: the server's chain and key, and the authorities that sign proxies; without those anybody may connect."""

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


def server_credentials(files: TlsFiles, now: Callable[[], datetime]) -> grpc.ServerCredentials:
    """Credentials that follow their files: a new connection is shown what is there then. `CredentialsUnusable`."""
    current = _Current(files, now)
    return grpc.dynamic_ssl_server_credentials(
        current.configuration,
        current.renewed,  # type: ignore[arg-type] # the stub does not know that None means no change
        require_client_authentication=files.client_ca is not None,
    )


class _Current:
    """What the files said when they were last good. gRPC asks for it in threads of its own, one at a time."""

    def __init__(self, files: TlsFiles, now: Callable[[], datetime]) -> None:
        self._files = files
        self._now = now
        self._said = _read(files, now)
        self.configuration = _configuration(self._said)

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Another configuration if the files say something else and can be used; None: as before."""
        try:
            said = _read(self._files, self._now)
            if said == self._said:
                return None
            self.configuration, self._said = _configuration(said), said
        except CredentialsUnusable as error:
            log.warning("xds certificate not renewed", why=str(error))
            return None
        log.info("xds certificate renewed", certificate=str(self._files.certificate))
        return self.configuration


def _read(files: TlsFiles, now: Callable[[], datetime]) -> tuple[bytes, ...]:
    paths = [files.certificate, files.private_key, *([files.client_ca] if files.client_ca else [])]
    try:
        said = tuple(path.read_bytes() for path in paths)
    except OSError as error:
        raise CredentialsUnusable(f"{error.filename} cannot be read: {error.strerror}") from None
    certificate, private_key, *client_ca = (each.decode("utf-8", "replace") for each in said)
    at_fault = files.certificate
    try:
        check_pair(certificate, private_key, now())
        for text, path in zip(client_ca, paths[2:], strict=True):
            at_fault = path
            check_authorities(text, now())
    except PemFault as fault:
        path = files.private_key if isinstance(fault, KeyFault) else at_fault
        raise CredentialsUnusable(f"the xDS port's file {path} {fault.what}. {fault.fix}") from None
    return said


def _configuration(said: tuple[bytes, ...]) -> grpc.ServerCertificateConfiguration:
    certificate, private_key, *client_ca = said
    return grpc.ssl_server_certificate_configuration([(private_key, certificate)], client_ca[0] if client_ca else None)
