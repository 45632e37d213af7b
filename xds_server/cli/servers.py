"""Asking a running server by its `--admin` address."""

import json
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

from pydantic import TypeAdapter, ValidationError

from xds_server.api.problems import ProblemReport
from xds_server.domain.problems import Place, Problem

T = TypeVar("T")

PATIENCE = 30.0
SERVER_ERROR = 500
PROBLEMS = TypeAdapter(list[ProblemReport])


class NoAnswer(Exception):
    """The server does not tell, and why. `body`: all that it says of that."""

    def __init__(self, why: str = "", body: bytes = b"") -> None:
        super().__init__(why)
        self.body = body


class Unreachable(NoAnswer):
    """Nobody answers there now."""


def asked(server: str, path: str, expected: TypeAdapter[T], body: bytes | None = None, patience: float = PATIENCE) -> T:
    """What the server says: a GET, or a POST of JSON where there is a body. `patience`: seconds."""
    url = _url(server)
    request = Request(f"{url}{path}", body, {"content-type": "application/json"})  # noqa: S310 - checked above
    try:
        with build_opener().open(request, timeout=patience) as answer:
            return expected.validate_json(answer.read())
    except HTTPError as error:
        # A server that is stopping breaks off what it is doing.
        body = error.read()
        raise (Unreachable if error.code >= SERVER_ERROR else NoAnswer)(_said(error, body), body) from None
    except BadStatusLine as error:
        if isinstance(error, RemoteDisconnected):
            raise Unreachable(f"{url} has broken off") from None
        # What was said may be anything: gRPC's port answers in bytes that are no words.
        raise NoAnswer(
            f"what listens at {url} does not speak HTTP/1: give the address of --admin, not of --xds"
        ) from None
    except (URLError, OSError, HTTPException) as error:
        why = getattr(error, "reason", error)
        raise Unreachable(f"{url} does not answer ({why}); give the address of --admin") from None
    except ValidationError:
        raise NoAnswer(f"{url} is not an xds-server of this version") from None


def _url(server: str) -> str:
    """Raises `NoAnswer`: that is no address."""
    url = server.rstrip("/") if "://" in server else f"http://{server.rstrip('/')}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and " " not in url
    except ValueError:
        good = False
    if not good:
        raise NoAnswer(f"{server!r} is not the address of a server, such as http://127.0.0.1:18001")
    return url


def problems_at(server: str) -> list[Problem]:
    """Everything that is wrong there now."""
    return [problem(each) for each in asked(server, "/problems", PROBLEMS)]


def problem(said: ProblemReport) -> Problem:
    place = Place(said.file, said.document, said.line, said.path)
    return Problem(place, said.reason, said.what, said.fix, said.record, said.severity)


def _said(error: HTTPError, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url.partition('?')[0]} answers {error.code}: is it the address of --admin?"
