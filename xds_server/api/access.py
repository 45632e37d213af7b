"""Who may change something: until there is access control, only who is on the server's own machine.

It goes by the method, before anything is read, so that no route can forget it: whatever is no GET changes something,
but for `QUESTIONS`. A browser is on that machine, too: a page of another site that has it ask is refused.
"""

from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from xds_server.domain.addresses import is_loopback

FORBIDDEN = 403
READS = frozenset({"GET", "HEAD", "OPTIONS"})
QUESTIONS = frozenset({"/explain", "/records/plan"})
"""What is asked by POST because the question is long; nothing is done."""
DESCRIBED = {
    "description": "Only who is on the server's own machine, and connects by loopback, may change something.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wrong"}}},
}


class OnlyFromHere:
    """Answers everybody else 403."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = _refusal(scope) if scope["type"] == "http" and changes(scope["method"], scope["path"]) else ""
        await (JSONResponse({"error": why}, FORBIDDEN) if why else self._app)(scope, receive, send)


def changes(method: str, path: str) -> bool:
    return method.upper() not in READS and path not in QUESTIONS


def with_refusals(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document, with this answer of all that changes something."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if changes(method, path):
                operation["responses"][str(FORBIDDEN)] = DESCRIBED
    return document


def _refusal(scope: Scope) -> str:
    """Why somebody may change nothing; empty if they may."""
    if scope.get("client") is None or not is_loopback(scope["client"][0]):
        return "this changes something, which only who is on the server's own machine may do, by loopback"
    origin = Headers(scope=scope).get("origin")
    if origin is not None and not is_loopback(_host(origin)):
        return f"this changes something, and a page of {origin} may not do that"
    return ""


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
