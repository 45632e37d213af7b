"""Requests, and how long they took.

As a program it asks for hosts that nobody knows, or for one, so many times a second, whether or not the ones before
have been answered: `python -m bench.requests PORT COUNT RATE SEED [HOST]`.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterable
from time import perf_counter

import aiohttp

from e2e.support.client import Client

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ANSWERED_WITHIN = aiohttp.ClientTimeout(total=30)


def timed(port: int, hosts: Iterable[str], status: int = 200) -> list[float]:
    """Seconds of each request, one after the other over one connection. Every answer must have this status."""
    times = []
    with Client(port, 30.0) as client:
        for host in hosts:
            began = perf_counter()
            reply = client.get(host)
            times.append(perf_counter() - began)
            assert reply.status == status, (host, reply)
    return times


async def ask(port: int, hosts: Iterable[str], rate: float) -> Counter[int]:
    """How often each status came. Asks `rate` times a second, over as many connections as that takes."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=ANSWERED_WITHIN) as session:

        async def one(host: str) -> int:
            async with session.get(f"http://127.0.0.1:{port}/", headers={"host": host}) as answer:
                await answer.read()
                return answer.status

        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.TaskGroup() as group:
            asked = []
            for number, host in enumerate(hosts):
                await asyncio.sleep(began + number / rate - clock())
                asked.append(group.create_task(one(host)))
        return Counter(each.result() for each in asked)


def main(port: int, count: int, rate: float, seed: int, host: str = "") -> None:
    dice = random.Random(seed)
    hosts = (host or f"{''.join(dice.choices(LETTERS, k=16))}.example.net" for _ in range(count))
    print(dict(asyncio.run(ask(port, hosts, rate))))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), "".join(sys.argv[5:]))
