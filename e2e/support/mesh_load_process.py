"""Many requests at once over few kept connections, and what every hop of each said. None is sent again.

Standard input has a line of JSON: where the gateway is (`port`, `host`), what is asked in turn (`asks`: path and
headers), how many requests there are (`count`) on how many connections (`connections`), and where the answers go
(`results`, a line of JSON each: which ask, the status, who served it, and the body). It ends when all are answered.
"""

import asyncio
import json
import sys
from asyncio import TaskGroup
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

PATIENCE = 20.0
METHOD = "POST"
"""A client sends a GET again whose kept connection ends under it, without a word."""


class Requests:
    """All begin at once; each waits for a connection that is free."""

    def __init__(self, order: dict[str, Any], session: ClientSession) -> None:
        self._order = order
        self._url = f"http://127.0.0.1:{order['port']}"
        self._session = session
        self.answers: list[dict[str, Any]] = []

    async def run(self) -> None:
        async with TaskGroup() as tasks:
            for number in range(self._order["count"]):
                tasks.create_task(self._ask(number % len(self._order["asks"])))

    async def _ask(self, number: int) -> None:
        path, headers = self._order["asks"][number]
        named = {"host": self._order["host"], **dict(headers)}
        try:
            async with self._session.request(METHOD, f"{self._url}{path}", headers=named) as reply:
                body = await reply.text()
        except (ClientError, TimeoutError) as error:
            answer = {"status": 0, "served": None, "body": repr(error)}
        else:
            answer = {"status": reply.status, "served": reply.headers.get("x-served-deployment"), "body": body}
        self.answers.append({"ask": number, **answer})


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    kept = TCPConnector(limit=order["connections"])
    patience = ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE)
    async with ClientSession(connector=kept, timeout=patience) as session:
        requests = Requests(order, session)
        await requests.run()
    Path(order["results"]).write_text("".join(f"{json.dumps(each)}\n" for each in requests.answers))


if __name__ == "__main__":
    asyncio.run(main())
