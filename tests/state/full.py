"""A state directory that cannot be written for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from xds_server.state.store import Store


@contextmanager
def full(store: Store) -> Iterator[None]:
    """SQLite refuses every write, and reads as ever."""
    store._connection.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        store._connection.execute("PRAGMA query_only = OFF")
