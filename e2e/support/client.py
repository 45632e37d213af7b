"""A plain HTTP/1 client that sends exactly what it is given, and shows exactly what came back."""

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

Headers = Iterable[tuple[str, str]]
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: header names in lower case, in the order in which they came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def served(self) -> str | None:
        """The deployment that the gateway says has served this."""
        return self.header("x-served-deployment")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Echo:
    """What an upstream says that it received."""

    instance: str
    path: str
    headers: tuple[tuple[str, str], ...]
    attempt: int

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


def echo(body: bytes) -> Echo:
    return echo_of(json.loads(body))


def echo_of(said: Mapping[str, Any]) -> Echo:
    headers = tuple((key, value) for key, value in said["headers"])
    return Echo(said["instance"], said["path"], headers, said.get("attempt", 1))


class Client:
    """Requests to one address over one kept connection, from an address of loopback. Never retries."""

    def __init__(self, port: int, timeout: float = TIMEOUT, source: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout, (source, 0))

    def get(self, host: str, path: str = "/", headers: Headers = (), method: str = "GET") -> Reply:
        try:
            return self._exchange(host, path, headers, method)
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def post(self, host: str, body: bytes, headers: Headers = ()) -> Reply:
        return self._exchange(host, "/", [*headers, ("Content-Length", str(len(body)))], "POST", body)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, host: str, path: str, headers: Headers, method: str, body: bytes | None = None) -> Reply:
        self._connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        self._connection.putheader("Host", host)
        for name, value in headers:
            self._connection.putheader(name, value)
        self._connection.endheaders(body)
        response = self._connection.getresponse()
        named = tuple((name.lower(), value) for name, value in response.getheaders())
        return Reply(response.status, named, response.read())


def answers(port: int, path: str) -> Reply | None:
    """What `path` says over a new connection; None while nobody listens or the answer is not 200."""
    with Client(port) as client:
        try:
            reply = client.get("localhost", path)
        except (OSError, http.client.HTTPException):
            return None
        return reply if reply.status == 200 else None
