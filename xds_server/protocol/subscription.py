"""What a client wants of one type: names, everything, or both.

`*` means everything. So does a first request without a name, for listeners and clusters alone: the *legacy wildcard*
(R25, R26). Whether everything is wanted is kept as a fact of its own, never derived from "no names" (R27): after
any name was seen, no names means nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from sys import intern

from xds_server.protocol.index import Index, Names

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Change:
    """How a subscription changed.

    `asked` must be answered even if it was sent before (R10, R18). `widened`: everything was asked for;
    `narrowed`: only the names are still wanted.
    """

    asked: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    widened: bool = False
    narrowed: bool = False


UNCHANGED = Change()


class Subscription:
    """The subscription of one type on one stream. `legacy`: no names at first mean everything.

    What is wanted is kept in an `Index`: one of its own, until it is to `share` that of a kind of streams.
    """

    __slots__ = ("_nameless", "everything", "names")

    def __init__(self, *, legacy: bool) -> None:
        self.names = Names(Index(), 1)
        self.everything = False
        self._nameless = legacy

    def share(self, index: Index, stream: int) -> None:
        """From now on, before anything is wanted, it is one of several in an index."""
        self.names = Names(index, stream)

    def covers(self, name: str) -> bool:
        return self.everything or name in self.names

    def among(self, changed: frozenset[str]) -> Iterable[str]:
        """Those of `changed` that are wanted."""
        return changed if self.everything else [name for name in changed if name in self.names]

    def replace(self, names: tuple[str, ...]) -> Change:
        """A SotW request lists all that is wanted. `A` alone ends the legacy wildcard (R25)."""
        if names and not self.everything and len(names) == len(self.names) and all(map(self.names.__contains__, names)):
            return UNCHANGED  # every ACK repeats all the names: most requests end here
        self._nameless = self._nameless and not names
        everything = self._nameless or EVERYTHING in names
        wanted = _names(names)
        asked = frozenset(name for name in wanted if name not in self.names)
        ended = self.names - wanted if len(self.names) > len(wanted) - len(asked) else frozenset()
        change = Change(
            asked=asked,
            dropped=frozenset() if everything else frozenset(ended),
            widened=everything and not self.everything,
            narrowed=self.everything and not everything,
        )
        self._want(asked, ended, everything=everything)
        return change

    def edit(self, subscribe: tuple[str, ...], unsubscribe: tuple[str, ...]) -> Change:
        """A delta request adds and takes away. `A` does not end the legacy wildcard (R25)."""
        legacy = self._nameless and not subscribe
        if not (subscribe or unsubscribe or legacy):
            return UNCHANGED
        self._nameless = False
        before = self.everything
        everything = (before or legacy or EVERYTHING in subscribe) and EVERYTHING not in unsubscribe
        asked = _names(subscribe)
        ended = frozenset(name for name in _names(unsubscribe) if name in asked or name in self.names)
        self._want(asked, ended, everything=everything)
        return Change(
            # Who wants everything and unsubscribes from a name must be told what `*` makes of it (R20).
            asked=asked | ended if self.everything else asked - ended,
            dropped=frozenset() if self.everything else ended,
            widened=self.everything and (legacy or EVERYTHING in subscribe),
            narrowed=before and not self.everything,
        )

    def _want(self, asked: Iterable[str], ended: Iterable[str], *, everything: bool) -> None:
        self.names.add(asked)
        self.names.discard(ended)
        if everything != self.everything:
            self.everything = everything
            self.names.want_everything(everything)


def _names(names: tuple[str, ...]) -> frozenset[str]:
    # A thousand streams name the same things: one string each is enough.
    return frozenset(intern(name) for name in names if name != EVERYTHING)
