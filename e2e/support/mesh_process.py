"""Applications of a mesh that know nothing of versions: each calls who comes next, and forwards `baggage` alone.

Standard input has a line of JSON: a list of `[name, port, outbound]`. `GET /api/review` at `ui` is a call of `/review`
at `api`, by the sidecar of `ui`, and so on. Each answers with who it is, what it was told, and what the next one said.
"""

import asyncio
import json
import sys

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

STRICT = "x-strict"
"""Who is asked with it fails if its own call does; else it tells what became of that."""
LONGEST_LINE = 1 << 16
TOLD = ("x-deployment", "baggage", "host", "x-request-id")


class Application:
    """One instance. `name` is its build: `ui@u1`."""

    def __init__(self, name: str, outbound: int, session: ClientSession) -> None:
        self.name = name
        self._component = name.partition("@")[0]
        self._proxy = f"http://127.0.0.1:{outbound}"
        self._session = session

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        words = [word for word in request.path.split("/") if word]
        if words[:1] == [self._component]:
            words = words[1:]
        said: dict[str, object] = {
            "build": self.name,
            "told": {name: request.headers.getall(name, []) for name in TOLD},
        }
        if words:
            said |= await self._call(words, request)
        failed = STRICT in request.headers and said.get("status", 200) != 200
        return web.json_response(said, status=500 if failed else 200)

    async def _call(self, words: list[str], request: web.BaseRequest) -> dict[str, object]:
        url = f"http://{words[0]}/{'/'.join(words[1:])}"
        forwarded = [("baggage", each) for each in request.headers.getall("baggage", [])]
        async with self._session.request(request.method, url, headers=forwarded, proxy=self._proxy) as reply:
            return {"status": reply.status, "then": await reply.json(content_type=None)}


async def main() -> None:
    instances = json.loads(sys.stdin.readline())
    timeout = ClientTimeout(total=20)
    async with ClientSession(connector=TCPConnector(limit=0), timeout=timeout) as session:
        for name, port, outbound in instances:
            application = Application(name, outbound, session)
            server = web.Server(application.answer, access_log=None, max_field_size=LONGEST_LINE)
            await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=2048)
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
