"""What a gateway does with a request before it looks for its host: `docs/gateways.md`, in the order of Envoy."""

import re
from dataclasses import replace

from xds_server.records.models import Gateway, Http, Listener, Underscores
from xds_server.traffic.decisions import Answer
from xds_server.traffic.paths import normal
from xds_server.traffic.requests import Request, Seen, host_of, seen

AUTHORITY = re.compile(r"[-0-9A-Za-z._~!$&'()*+,;=:@%\[\]]*")
HTTPS = 443
METHODS = re.compile(
    "ACL|BIND|CHECKOUT|COPY|DELETE|GET|HEAD|LINK|LOCK|MERGE|MKACTIVITY|MKCALENDAR|MKCOL|MOVE|MSEARCH|NOTIFY|OPTIONS|"
    "PATCH|POST|PROPFIND|PROPPATCH|PURGE|PUT|REBIND|REPORT|SEARCH|SOURCE|SUBSCRIBE|TRACE|UNBIND|UNLINK|UNLOCK|"
    "UNSUBSCRIBE"
)
"""What Envoy's HTTP/1 codec knows, but for CONNECT. Over HTTP/2 any word is a method."""


def enter(gateway: Gateway, listener: Listener, request: Request) -> Seen | Answer:
    """The request as rules are tried against it, or what it is answered at once."""
    path = normal(request.path)
    fault = _fault(gateway.spec.http, request)
    if fault or path is None:
        return Answer(400, "BadRequest", fault or "the path has an encoded NUL (%00)")
    if path.redirected:
        return Answer(307, "EscapedSlash", "the path has escaped slashes: which it means, the client says", path.path)
    if listener.redirect is not None:
        return _redirect(gateway, listener, request, path.path)
    return seen(replace(request, path=path.path, headers=_accepted(gateway.spec.http, request)))


def closed(listener: Listener, missing: list[str]) -> Answer:
    """No connection, so no status."""
    what = ", ".join(missing)
    return Answer(0, "ListenerClosed", f"listener {listener.name} is closed: {what} was never good")


def _fault(http: Http, request: Request) -> str:
    if not METHODS.fullmatch(request.method):
        return f"{request.method!r} is no method of HTTP/1 that Envoy knows{_meant(request.method)}"
    if not AUTHORITY.fullmatch(request.authority):
        return "the host has characters that no host has"
    if "#" in request.path:
        return "the path has a fragment (#), which no client sends"
    named = [name for name, _ in request.headers if "_" in name]
    if named and http.underscores is Underscores.REJECT:
        return f"header {named[0]} has an underscore, which this gateway refuses (spec.http.underscores)"
    return ""


def _meant(method: str) -> str:
    said = f"; methods are in capitals: {method.upper()}" if METHODS.fullmatch(method.upper()) else ""
    return f"{said} (over HTTP/2 it is routed)"


def _redirect(gateway: Gateway, listener: Listener, request: Request, path: str) -> Answer:
    port = gateway.spec.https_port(listener)
    host = request.authority[: len(host_of(request.authority))]
    place = f"https://{host}{'' if port == HTTPS else f':{port}'}{path}"
    status = 301 if request.method in ("GET", "HEAD") else 308
    return Answer(status, "Redirect", f"listener {listener.name} sends every request to https", place)


def _accepted(http: Http, request: Request) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in request.headers if not _dropped(http, name))


def _dropped(http: Http, name: str) -> bool:
    """A client's `x-envoy-*` headers would steer Envoy: they are taken off."""
    underscore = "_" in name and http.underscores is Underscores.DROP
    return underscore or name.startswith("x-envoy-") or (name == "x-forwarded-proto" and not http.trusted_hops)
