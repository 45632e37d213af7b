"""What a gateway listens on: an address and port, and what happens there."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from xds_server.records.values import FORM, Flag, Ip, Label, Model, Whole, means


class ListenerTls(Model):
    """Which of the gateway's secrets a listener shows; of several, by the name that the client asks for (SNI)."""

    secret: Annotated[
        Label | None,
        means(
            "The one certificate that is shown, whatever name the client asks for.",
            "edge-cert",
            "DownstreamTlsContext.common_tls_context.tls_certificate_sds_secret_configs",
        ),
    ] = None
    secrets: Annotated[
        tuple[Label, ...],
        means(
            "Several certificates. A client is shown the one that has the name it asks for, else the first.",
            ["shop-cert", "partner-cert"],
            "DownstreamTlsContext.common_tls_context.tls_certificate_sds_secret_configs",
        ),
    ] = ()

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.secret is None) == (not self.secrets):
            raise ValueError("must have either secret or secrets")
        if len(set(self.secrets)) < len(self.secrets):
            raise ValueError("must not name a secret twice")
        return self

    @property
    def named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The secrets by name, each with the field that names it."""
        if self.secret is not None:
            yield ("secret",), self.secret
        for index, name in enumerate(self.secrets):
            yield ("secrets", index), name

    @property
    def shown(self) -> tuple[str, ...]:
        """The secrets by name, in the order in which they are offered."""
        return self.secrets if self.secret is None else (self.secret,)


Port = Annotated[Whole, Field(ge=1, le=65535)]


class RedirectTo(StrEnum):
    """Where a listener sends every request."""

    HTTPS = "https"


class RedirectPort(Model):
    """Every request is sent to https on this port."""

    port: Annotated[
        Port,
        means(
            "Where clients find https, if it is not the port of the one listener with tls.",
            443,
            "RedirectAction.port_redirect",
        ),
    ]


class Http3Port(Model):
    """HTTP/3 is offered, and clients find it on this port."""

    port: Annotated[Port, means("Where clients find the UDP port, if something in between maps it.", 443)]


def _form(value: object) -> str:
    return FORM + ("port" if isinstance(value, dict | Model) else "word")


Redirect = Annotated[
    Annotated[RedirectTo, Tag(FORM + "word")] | Annotated[RedirectPort, Tag(FORM + "port")], Discriminator(_form)
]


Http3 = Annotated[Annotated[Flag, Tag(FORM + "word")] | Annotated[Http3Port, Tag(FORM + "port")], Discriminator(_form)]


class Listener(Model):
    """An address and port that a gateway listens on."""

    name: Annotated[
        Label, means("What it is called, within its gateway; it names the routes and the counters.", "http")
    ]
    address: Annotated[
        Ip, means("The IP address to listen on.", "127.0.0.1", "Listener.address.socket_address.address")
    ] = "0.0.0.0"  # noqa: S104 - an edge listens to the world unless told otherwise
    port: Annotated[Port, means("The port to listen on.", 8443, "Listener.address.socket_address.port_value")]
    tls: Annotated[
        ListenerTls | None,
        means(
            "Speak TLS. The listener is closed until all of its certificates are in force.",
            {"secret": "edge-cert"},
            "FilterChain.transport_socket",
        ),
    ] = None
    http3: Annotated[
        Http3,
        means(
            "Offer HTTP/3 too, on the UDP port of the same number. Needs tls. `{port: 443}`: where clients find it.",
            True,
            "Listener.udp_listener_config.quic_options",
        ),
    ] = False
    redirect: Annotated[
        Redirect | None,
        means("Send every request to https: nothing is served here in plain text.", "https", "Route.redirect"),
    ] = None

    @property
    def http3_port(self) -> int | None:
        """Where clients find HTTP/3; None where it is not offered."""
        if isinstance(self.http3, Http3Port):
            return self.http3.port
        return self.port if self.http3 else None

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.redirect is not None and self.tls is not None:
            raise ValueError("may not have redirect and tls: what arrives by https is served")
        if self.http3 and self.tls is None:
            raise ValueError("must have tls for http3, which is always encrypted")
        return self


def _apart(listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    names = {listener.name for listener in listeners}
    places = {(listener.address, listener.port) for listener in listeners}
    if len(names) < len(listeners) or len(places) < len(listeners):
        raise ValueError("must differ in name and in address and port")
    return listeners


def _sent_somewhere(listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    secure = [listener for listener in listeners if listener.tls is not None]
    if len(secure) != 1 and any(isinstance(listener.redirect, RedirectTo) for listener in listeners):
        raise ValueError(
            "must have exactly one listener with tls for redirect: https; else write redirect: {port: 443}"
        )
    return listeners


Listeners = Annotated[
    tuple[Listener, ...], Field(min_length=1), AfterValidator(_apart), AfterValidator(_sent_somewhere)
]
