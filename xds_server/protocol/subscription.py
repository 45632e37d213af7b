"""What a client wants of one type: names, everything, or both.

`*` means everything. So does a first request without a name, for listeners and clusters alone: the *legacy wildcard*
(R25, R26). Whether everything is wanted is kept as a fact of its own, never derived from "no names" (R27): after
any name was seen, no names means nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from sys import intern

from typing_extensions import override

from xds_server.protocol.index import Index, Names

EVERYTHING = "*"

REMEMBERED = 100_000
"""Names that do not exist, for one stream."""


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
        if self.names.index is not index:
            self.names = Names(index, stream)

    def covers(self, name: str) -> bool:
        return self.everything or name in self.names

    def among(self, changed: frozenset[str]) -> Iterable[str]:
        """Those of `changed` that are wanted."""
        return changed if self.everything else [name for name in changed if name in self.names]

    def pick(self, names: Iterable[str]) -> None:
        """Wanted for the client, which did not ask."""
        self.names.update(names)

    def drop(self, names: Iterable[str]) -> None:
        """Wanted no more."""
        self.names.difference_update(names)

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
        self.names.update(asked)
        self.names.difference_update(ended)
        if everything != self.everything:
            self.everything = everything
            self.names.want_everything(everything)


class Choice(Subscription):
    """Clusters on demand: `*` leaves it to the server what there shall be besides what is asked for by name (R39).

    `names` has both; `asked` what the client named. So a cluster that is picked is never taken for one that is asked
    for, nor `*` for every cluster of the world.
    """

    __slots__ = ("asked", "left_to_us")

    def __init__(self) -> None:
        super().__init__(legacy=True)
        self.asked: set[str] = set()
        self.left_to_us = False

    @override
    def edit(self, subscribe: tuple[str, ...], unsubscribe: tuple[str, ...]) -> Change:
        legacy = self._nameless and not subscribe
        if not (subscribe or unsubscribe or legacy):
            return UNCHANGED
        self._nameless = False
        before, widened = self.left_to_us, legacy or EVERYTHING in subscribe
        self.left_to_us = (before or widened) and EVERYTHING not in unsubscribe
        asked, ended = _names(subscribe), _names(unsubscribe)
        self.asked = (self.asked | asked) - ended
        ended = frozenset(name for name in ended if name in asked or name in self.names)
        self.pick(asked - ended)
        self.drop(ended)
        return Change(
            asked=asked | ended if self.left_to_us else asked - ended,  # R20
            dropped=frozenset() if self.left_to_us else ended,
            widened=self.left_to_us and widened,
            narrowed=before and not self.left_to_us,
        )


class Asked(Subscription):
    """Virtual hosts on demand: every name is wanted that was asked for, and is told apart by what there is.

    `names`: there is something, or the server picked them. `unknown`: there is nothing yet. They are many when somebody
    tries names at random, so not more than `REMEMBERED` are kept; `forgetful` once there were more.
    """

    __slots__ = ("forgetful", "unknown")

    def __init__(self) -> None:
        super().__init__(legacy=False)
        self.unknown = Names(self.names.index.missing, 1)
        self.forgetful = False

    @override
    def share(self, index: Index, stream: int) -> None:
        super().share(index, stream)
        if self.unknown.index is not index.missing:
            self.unknown = Names(index.missing, stream)

    @override
    def covers(self, name: str) -> bool:
        return name in self.names or name in self.unknown

    @override
    def edit(self, subscribe: tuple[str, ...], unsubscribe: tuple[str, ...]) -> Change:
        if not (subscribe or unsubscribe):
            return UNCHANGED
        # `*` is what an Envoy makes of having named none at first. What is asked for comes to `names` or `unknown` when
        # it is looked at.
        ended = frozenset(unsubscribe)
        self.drop(ended)
        return Change(asked=frozenset(subscribe) - ended - {EVERYTHING}, dropped=ended)

    @override
    def pick(self, names: Iterable[str]) -> None:
        names = list(names)
        super().pick(names)
        self.unknown.difference_update(names)

    @override
    def drop(self, names: Iterable[str]) -> None:
        super().drop(names)
        self.unknown.difference_update(names)

    def miss(self, name: str) -> bool:
        """There is nothing by this name; whether that is remembered."""
        super().drop([name])
        if len(self.unknown) < REMEMBERED:
            self.unknown.add(name)
        elif name not in self.unknown and not self.forgetful:
            self.forgetful = True
            self.names.want_everything(True)
        return name in self.unknown


def _names(names: tuple[str, ...]) -> frozenset[str]:
    # A thousand streams name the same things: one string each is enough.
    return frozenset(intern(name) for name in names if name != EVERYTHING)
