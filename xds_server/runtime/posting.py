"""One try to deliver a notification, over HTTP. Imported only where there is a webhook."""

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import cache
from pathlib import Path

import httpx
import structlog

from xds_server import __version__
from xds_server.domain.errors import XdsServerError
from xds_server.notifications.message import MEDIA_TYPE
from xds_server.notifications.outcome import Outcome, retry_after
from xds_server.notifications.signing import NoSecret, keys_in, signed
from xds_server.notifications.webhook import Webhook

log = structlog.get_logger()

PATIENCE = 15.0
"""Seconds that a receiver has for its answer, the least that Standard Webhooks recommends."""
QUOTED = 200
"""Characters of an answer that say why it says no."""
READ = 64 * 1024
"""Bytes of an answer after which the connection is rather closed than read to its end."""
HEADERS = {
    "content-type": MEDIA_TYPE,
    "user-agent": f"xds-server/{__version__}",
    "accept-encoding": "identity",
}


class WebhooksUnusable(XdsServerError):
    """Nobody can be told with what `--webhooks` names. The message says why and what to do."""


class Poster:
    """Sends to one webhook. `folder`: where its files are. Raises `WebhooksUnusable` if they cannot be used.

    A redirect is not followed, certificates are verified, and proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`)
    are used.
    """

    def __init__(
        self, webhook: Webhook, folder: Path, clock: Callable[[], datetime], patience: float = PATIENCE
    ) -> None:
        self._webhook = webhook
        self._clock = clock
        self._patience = patience
        self._secret = folder / webhook.secret
        self._fault = ""
        try:
            self._keys = _keys(self._secret)
        except NoSecret as fault:
            raise WebhooksUnusable(f"webhook {webhook.name}: its secret {self._secret} {fault}") from None
        authorities = _authorities(webhook, folder)
        timeout = httpx.Timeout(patience)
        self._client = httpx.AsyncClient(verify=authorities, timeout=timeout, headers=HEADERS, follow_redirects=False)

    def open(self) -> AbstractAsyncContextManager[object]:
        """Connections are kept until it is left."""
        return self._client

    async def post(self, name: str, body: bytes) -> Outcome:
        """Whatever is wrong with a receiver is an outcome."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._post(name, body)
        except TimeoutError:
            return Outcome(why=f"no answer within {self._patience:g} s")
        except (httpx.HTTPError, OSError) as error:
            return Outcome(why=_words(error))
        except Exception as error:  # the server serves on, whatever is wrong with telling of it
            log.error("notification not sent", webhook=self._webhook.name, id=name, exc_info=True)
            return Outcome(why=repr(error))

    async def _post(self, name: str, body: bytes) -> Outcome:
        now = self._clock()
        headers = signed(self._current_keys(), name, int(now.timestamp()), body)
        async with self._client.stream("POST", self._webhook.url, content=body, headers=headers) as answer:
            said = await _beginning(answer)
            if answer.is_success:
                return Outcome(answer.status_code)
            asked = retry_after(answer.headers.get("retry-after", ""), now)
            return Outcome(answer.status_code, _said(answer.status_code, said), asked)

    def _current_keys(self) -> tuple[bytes, ...]:
        """The file is read for each try, so that a new key acts at once; what cannot be read leaves those of before."""
        fault = ""
        try:
            self._keys = _keys(self._secret)
        except NoSecret as error:
            fault = str(error)
        if fault and fault != self._fault:
            log.warning("webhook secret not renewed", webhook=self._webhook.name, file=str(self._secret), why=fault)
        self._fault = fault
        return self._keys


def _keys(secret: Path) -> tuple[bytes, ...]:
    """Raises `NoSecret`."""
    try:
        return keys_in(secret.read_text("ascii"))
    except OSError as error:
        raise NoSecret(f"cannot be read: {error.strerror}. Write it, or correct `secret`") from None
    except UnicodeDecodeError:
        raise NoSecret("is no text") from None


@cache
def _usual() -> ssl.SSLContext:
    """Who is trusted usually, or by `SSL_CERT_FILE`. It is read once: that takes a tenth of a second."""
    return httpx.create_ssl_context()


def _authorities(webhook: Webhook, folder: Path) -> ssl.SSLContext:
    """Who may sign the receiver's certificate."""
    if not webhook.ca:
        return _usual()
    file = folder / webhook.ca
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError) else "it has no PEM certificates"
        raise WebhooksUnusable(f"webhook {webhook.name}: its ca {file} cannot be used: {why}. Correct it") from None


async def _beginning(answer: httpx.Response) -> bytes:
    """Of its body. Read to its end if that is near, the connection serves again."""
    found = b""
    async for piece in answer.aiter_raw():
        found += piece
        if len(found) > READ:
            break
    return found


def _said(status: int, body: bytes) -> str:
    words = "".join(each if each.isprintable() else " " for each in body[: 4 * QUOTED].decode("utf-8", "replace"))
    quoted = " ".join(words.split())[:QUOTED]
    return f"it answers {status}{f': {quoted}' if quoted else ''}"


def _words(error: BaseException) -> str:
    """What the kernel said, if it was that: a library's words around it do not say why."""
    root = error
    while root.__cause__ is not None or root.__context__ is not None:
        root = root.__cause__ or root.__context__ or root
    if isinstance(root, OSError) and not isinstance(root, ssl.SSLError) and (root.errno or 0) > 0:
        return os.strerror(root.errno or 0)
    return str(root) or type(root).__name__
