"""Python's cyclic garbage collector, kept away from what lives long.

A world of 10,000 apps is millions of objects without a cycle among them. While it is built, and at every later full
collection, the collector would look at each of them again and again: seconds at start, and pauses before pushes.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 20_000
"""New objects after which the collector looks at them. A fan-out makes tens of thousands that live for a moment."""


@contextmanager
def building() -> Iterator[None]:
    """What is built meanwhile is taken to live as long as the process: no collection looks at it, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        gc.enable()
