"""Who wants which names of one type: a bit for each stream, shared by all streams of a kind.

A thousand streams that want the same thousand names cost a thousand numbers of a thousand bits, not a million entries;
and those that a change concerns are found without asking each stream.
"""

from collections.abc import Iterable, Iterator, Set

from typing_extensions import override


class Index:
    """`everything`: the streams that want all there is. A stream is a number with one bit set."""

    __slots__ = ("_wanted", "everything")

    def __init__(self) -> None:
        self.everything = 0
        self._wanted: dict[str, int] = {}

    def of(self, name: str) -> int:
        """The streams that want this name, as such."""
        return self._wanted.get(name, 0)

    def under(self, begin: str, end: str) -> int:
        """The streams that want any name that begins and ends so. Looks at every name."""
        found = 0
        for name, streams in self._wanted.items():
            if name.startswith(begin) and name.endswith(end):
                found |= streams
        return found

    def names(self, stream: int) -> list[str]:
        """What one stream wants. Looks at every name."""
        return [name for name, streams in self._wanted.items() if streams & stream]

    def add(self, stream: int, name: str) -> bool:
        """Whether the stream did not want it before."""
        before = self._wanted.get(name, 0)
        if before & stream:
            return False
        self._wanted[name] = before | stream
        return True

    def discard(self, streams: int, name: str) -> bool:
        """Whether one of the streams wanted it."""
        before = self._wanted.get(name, 0)
        if not before & streams:
            return False
        left = before & ~streams
        if left:
            self._wanted[name] = left
        else:
            del self._wanted[name]
        return True

    def forget(self, streams: int) -> None:
        """These are no more. Looks at every name."""
        self.everything &= ~streams
        for name in list(self._wanted):
            self.discard(streams, name)


class Names(Set[str]):
    """The names that one stream wants: a view of an index."""

    __slots__ = ("_count", "_index", "_stream")

    def __init__(self, index: Index, stream: int) -> None:
        self._index = index
        self._stream = stream
        self._count = 0

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            self._count += self._index.add(self._stream, name)

    def discard(self, names: Iterable[str]) -> None:
        for name in names:
            self._count -= self._index.discard(self._stream, name)

    def want_everything(self, wanted: bool) -> None:
        if wanted:
            self._index.everything |= self._stream
        else:
            self._index.everything &= ~self._stream

    @override
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._index.of(name) & self._stream)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._index.names(self._stream) if self._count else ())

    @override
    def __len__(self) -> int:
        return self._count

    @classmethod
    @override
    def _from_iterable(cls, it: Iterable[str]) -> Set[str]:  # type: ignore[override]
        return frozenset(it)
