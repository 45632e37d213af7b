"""A request as Envoy decides on it: the values that rules are tried against."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from xds_server.traffic.expressions import ANY_SLOT, SLOT_DIGITS

DEFAULT_PORTS = {"http": 80, "https": 443}
URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?", re.IGNORECASE
)
METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(?P<value>[^\0\r\n]*?)\s*")
VISIBLE = re.compile(r"[!-~]+")
HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"})
"""What concerns one connection only: Envoy takes these off before it routes."""


class CannotExplain(ValueError):
    """What was asked has no answer; the message says why, and what to ask instead."""


class NoRequest(CannotExplain):
    """What was asked about is no request, whatever is in force."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends. `path` has its query; `headers` are lines, names in lower case.

    Bytes that are not UTF-8 are surrogates, as the operating system hands them to Python. `request_id` is the one that
    Envoy gives the request, and begins with a slot; None: any, as a client cannot choose it.
    """

    method: str
    scheme: str
    authority: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    request_id: str | None = None

    @property
    def port(self) -> int:
        """Where the client connects, if the URL's host and the connection's are one."""
        _, colon, port = self.authority.rpartition(":")
        return int(port) if colon and port.isdigit() else DEFAULT_PORTS[self.scheme]


def read_request(method: str, url: str, lines: Iterable[str], request_id: str | None = None) -> Request:
    """As `curl` takes it: a method, a URL, lines `name: value`; a `host` line stands in place of the URL's host.

    `NoRequest` says what is wrong with them.
    """
    if not METHOD.fullmatch(method) or method.upper() == "CONNECT":
        raise NoRequest(f"{method!r} is not a method that a gateway routes, such as GET")
    parts = URL.fullmatch(url)
    if parts is None:
        raise NoRequest(f"{url!r} is not an absolute URL, such as http://shop.example.com/cart?step=1")
    if not VISIBLE.fullmatch(url):
        raise NoRequest(f"{url!r} has spaces, or characters that a URL writes percent-encoded (%20)")
    if request_id is not None and not re.match(ANY_SLOT, request_id):
        raise NoRequest(
            f"{request_id!r} is no request id: its first {SLOT_DIGITS} characters are the slot, digits and a to f; "
            "write it as ff00, or whole, as ff00aa11-2222-4333-8444-555566667777"
        )
    headers = [_line(line) for line in lines]
    hosts = [value for name, value in headers if name == "host"]
    if len(hosts) > 1:
        raise NoRequest("a request has one host, not several")
    return Request(
        method=method,
        scheme=parts["scheme"].lower(),
        authority=(hosts or [parts["authority"].rpartition("@")[2]])[0],
        path=(parts["path"] or "/") + (parts["query"] or ""),
        headers=tuple((name, value) for name, value in headers if name != "host"),
        request_id=request_id,
    )


def _line(text: str) -> tuple[str, str]:
    found = HEADER.fullmatch(text)
    if found is None:
        raise NoRequest(f"{text!r} is not a header, such as 'x-early-adopter: true'")
    return found["name"].lower(), found["value"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What matchers see of a request: its method, its path and query, and each header's lines.

    `request_id` is None where any may be drawn.
    """

    method: str
    path: str
    lines: Mapping[str, tuple[str, ...]]
    request_id: str | None = None

    def header(self, name: str) -> str | None:
        """All lines as one value, joined by commas: what the choice of a deployment is made by."""
        lines = self.lines.get(name)
        return None if lines is None else ",".join(lines)

    @property
    def bare_path(self) -> str:
        return self.path.partition("?")[0]

    def first_parameter(self, name: str) -> str | None:
        """The first value of a query parameter, as it was sent."""
        return next((value for key, value in parameters(self.path) if key == name), None)


def seen(request: Request) -> Seen:
    """What Envoy itself says stands in place of what came."""
    lines: dict[str, tuple[str, ...]] = {}
    for name, value in request.headers:
        if name not in HOP_BY_HOP:
            lines[name] = (*lines.get(name, ()), value)
    lines.setdefault("x-forwarded-proto", (request.scheme,))
    lines["host"] = (request.authority,)
    lines["x-request-id"] = (request.request_id or "00000000-0000-4000-8000-000000000000",)
    return Seen(request.method, request.path, lines, request.request_id)


def parameters(path: str) -> list[tuple[str, str]]:
    """The parameters of a path's query, in order, as they were sent."""
    query = path.partition("?")[2]
    pairs = (each.partition("=") for each in query.split("&"))
    return [(name, value) for name, _, value in pairs] if query else []


def decoded(text: str) -> str:
    """With its percent-encoded bytes as they are meant; a `+` stays one."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def host_of(authority: str) -> str:
    """In lower case, without a port, which does not matter for the choice of a host."""
    port = authority.rfind(":")
    bare = authority if port < 0 or authority.rfind("]") > port else authority[:port]
    return bare.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")
