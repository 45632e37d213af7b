"""Who is told by webhook, in a test's own process."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, NamedTuple

from aiohttp import web

from xds_server.notifications.signing import keys_in, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Heard(NamedTuple):
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def is_ours(self) -> bool:
        """It is signed with the secret of tests."""
        name, at = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
        wanted = signed(keys_in(SECRET), name, at, self.body)["webhook-signature"]
        return wanted in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """Answers as it was told, then 204."""

    url: str = ""
    answers: Iterable[web.Response] = ()
    requests: list[Heard] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def heard(self, count: int) -> list[Heard]:
        async with asyncio.timeout(30), self.more:
            await self.more.wait_for(lambda: len(self.requests) >= count)
        return self.requests


@asynccontextmanager
async def receiver(*answers: web.Response, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    made = Receiver()
    left = chain(answers, (web.Response(status=204) for _ in repeat(None)))

    async def hear(request: web.Request) -> web.Response:
        body = await request.read()
        async with made.more:
            made.requests.append(Heard({name.lower(): value for name, value in request.headers.items()}, body))
            made.more.notify_all()
        return next(left)

    app = web.Application()
    app.router.add_post("/{path:.*}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    _, port = runner.addresses[0][:2]
    made.url = f"{'https' if tls else 'http'}://localhost:{port}/xds"
    try:
        yield made
    finally:
        await runner.cleanup()
