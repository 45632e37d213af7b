"""Requests over one connection, one after the other, and how long each took.

As a program it asks for hosts that nobody knows, or for one: `python -m bench.requests PORT COUNT SEED [HOST]`.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterable
from time import perf_counter

from e2e.support.client import Client

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def timed(port: int, hosts: Iterable[str], status: int = 200) -> list[float]:
    """Seconds of each request. Every answer must have this status."""
    times = []
    with Client(port, 30.0) as client:
        for host in hosts:
            began = perf_counter()
            reply = client.get(host)
            times.append(perf_counter() - began)
            assert reply.status == status, (host, reply)
    return times


def main(port: int, count: int, seed: int, host: str = "") -> None:
    dice = random.Random(seed)
    counts: Counter[int] = Counter()
    with Client(port, 30.0) as client:
        for _ in range(count):
            asked = host or f"{''.join(dice.choices(LETTERS, k=16))}.example.net"
            counts[client.get(asked).status] += 1
    print(dict(counts))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "".join(sys.argv[4:]))
