"""Python's cyclic garbage collector, kept away from what lives long.

A world of 10,000 apps is millions of objects without a cycle among them. While it is built, and at every later full
collection, the collector would look at each of them again and again: seconds at start, and pauses before pushes.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def building() -> Iterator[None]:
    """What is built meanwhile is taken to live as long as the process: no collection looks at it, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
