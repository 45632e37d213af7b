"""An ASGI application as a task among others: whoever runs it handles signals and ports."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from xds_server.domain.addresses import Address
from xds_server.domain.errors import XdsServerError

LOOPBACK = ("127.0.0.1", "::1")


class CannotListen(XdsServerError):
    """A port that was asked for is not to be had."""


class HttpServer(uvicorn.Server):
    """Serves until `should_exit` is set; leaves signals to its surroundings."""

    @contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


def http_server(app: FastAPI) -> HttpServer:
    """A proxy on this machine is believed who it asks for, whatever the environment says; nobody else is."""
    about = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", ws="none", forwarded_allow_ips=list(LOOPBACK)
    )
    return HttpServer(about)


def listen(address: Address, option: str) -> socket.socket:
    """A bound socket. `CannotListen` names the option that asked for it."""
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise CannotListen(f"cannot listen on {option} {address}: {why}. Choose another {option}") from None
