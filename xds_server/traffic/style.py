"""What of a gateway's record shapes every virtual host on it: the selectors."""

from dataclasses import dataclass

from xds_server.domain.names import Ref
from xds_server.records.models import Access, Gateway

INTERNAL_SELECTOR = "x-xds-server-explicit"
"""Carries a selector that came by query where the gateway names no header. Clients cannot set it."""


@dataclass(frozen=True, slots=True)
class Style:
    """Gateways of one style share the encoded body of every virtual host.

    `selector` is the header that names the deployment when routing starts, empty where none is read.
    `template` is the host template's suffix with its dot (`.preview.example.com`), empty where there is none.
    """

    selector: str
    template: str
    serves_explicit: bool
    denies_explicit: bool

    def host_of(self, deployment: Ref) -> str | None:
        """The deployment's own host, by the host template; None where deployments have none."""
        return deployment.word + self.template if self.template and self.serves_explicit else None


def style_of(gateway: Gateway) -> Style:
    explicit = gateway.spec.explicit
    selector = template = ""
    if explicit is not None:
        selector = explicit.header or (INTERNAL_SELECTOR if explicit.query else "")
        template = (explicit.host or "").removeprefix("{deployment}")
    return Style(
        selector=selector,
        template=template,
        serves_explicit=explicit is not None and explicit.access is Access.OPEN,
        denies_explicit=explicit is not None and explicit.access is Access.DENIED,
    )
