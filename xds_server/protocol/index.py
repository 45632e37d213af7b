"""Who wants which names of one type: a bit for each stream, shared by all streams of a kind.

A thousand streams that want the same thousand names cost a thousand numbers of a thousand bits, not a million entries;
and those that a change concerns are found without asking each stream.
"""

from collections.abc import Iterable, Iterator, MutableSet, Set

from typing_extensions import override


class Index:
    """`everything`: the streams that want all there is. A stream is a number with one bit set."""

    __slots__ = ("_found", "_missing", "_wanted", "everything")

    def __init__(self) -> None:
        self.everything = 0
        self._wanted: dict[str, int] = {}
        self._missing: Index | None = None
        self._found: tuple[str, str, list[str]] | None = None

    @property
    def missing(self) -> "Index":
        """Who wants names by which there is nothing."""
        if self._missing is None:
            self._missing = Index()
        return self._missing

    def of(self, name: str) -> int:
        """The streams that want this name, as such."""
        return self._wanted.get(name, 0)

    def wanting(self, name: str) -> int:
        """The streams that want this name, whether there is something or not."""
        return self.of(name) | (self._missing.of(name) if self._missing is not None else 0)

    def wanting_under(self, begin: str, end: str) -> int:
        """The streams that want any name that begins and ends so."""
        found = self._missing.wanting_under(begin, end) if self._missing is not None else 0
        for name in self.under(begin, end):
            found |= self.of(name)
        return found

    def under(self, begin: str, end: str) -> list[str]:
        """Names that begin and end so, wanted by whomever. Looks at every name, unless it has just been asked."""
        if self._found is None or self._found[:2] != (begin, end):
            names = [name for name in self._wanted if name.startswith(begin) and name.endswith(end)]
            self._found = (begin, end, names)
        return self._found[2]

    def names(self, stream: int) -> list[str]:
        """What one stream wants. Looks at every name."""
        return [name for name, streams in self._wanted.items() if streams & stream]

    def add(self, stream: int, name: str) -> bool:
        """Whether the stream did not want it before."""
        before = self._wanted.get(name, 0)
        if before & stream:
            return False
        if not before:
            self._found = None
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
        if self._missing is not None:
            self._missing.forget(streams)


class Names(MutableSet[str]):
    """The names that one stream wants: a view of an index."""

    __slots__ = ("_count", "_stream", "index")

    def __init__(self, index: Index, stream: int) -> None:
        self.index = index
        self._stream = stream
        self._count = 0

    @override
    def add(self, value: str) -> None:
        self._count += self.index.add(self._stream, value)

    @override
    def discard(self, value: str) -> None:
        self._count -= self.index.discard(self._stream, value)

    def update(self, names: Iterable[str]) -> None:
        for name in names:
            self.add(name)

    def difference_update(self, names: Iterable[str]) -> None:
        for name in names:
            self.discard(name)

    def under(self, begin: str, end: str) -> Iterator[str]:
        """Those that begin and end so."""
        return (name for name in self.index.under(begin, end) if self.index.of(name) & self._stream)

    def want_everything(self, wanted: bool) -> None:
        if wanted:
            self.index.everything |= self._stream
        else:
            self.index.everything &= ~self._stream

    @override
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.index.of(name) & self._stream)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self.index.names(self._stream) if self._count else ())

    @override
    def __len__(self) -> int:
        return self._count

    @classmethod
    @override
    def _from_iterable(cls, it: Iterable[str]) -> Set[str]:  # type: ignore[override]
        return frozenset(it)
