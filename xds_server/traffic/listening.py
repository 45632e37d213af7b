"""Which of a gateway's listeners are open: one whose certificates were never good stays closed."""

from collections.abc import Container, Iterator

from xds_server.domain import names
from xds_server.records.models import Gateway, Listener


def secrets_of(gateway: Gateway, listener: Listener) -> Iterator[str]:
    """The names of the certificates that a listener shows, as Envoy asks for them."""
    if listener.tls is not None:
        yield from (names.secret(gateway.ref, name) for name in listener.tls.shown)


def lacking(gateway: Gateway, listener: Listener, secrets: Container[str]) -> list[str]:
    """What of it is not in force. A listener that lacks something is closed, for Envoy would wait for it."""
    return [name for name in secrets_of(gateway, listener) if name not in secrets]
