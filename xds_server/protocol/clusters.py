"""The clusters of one on-demand stream (R39): those that the server picks, and those that are asked for.

`*` means: as the server chooses. That is what every proxy gets (`Snapshot.always`), what the virtual hosts that are
loaded here need, and what the client has since an earlier stream. A cluster that no virtual host needs any more stays
for as long as it exists, so that a rollback finds it warm.
"""

from collections.abc import Callable, Iterable, Set

from typing_extensions import override

from xds_server.protocol.channel import Channel
from xds_server.protocol.subscription import Change, Choice
from xds_server.snapshot import Resource, Snapshot, TypeUrl


class Clusters(Channel):
    """`needed` names what the virtual hosts need that the client holds, or shall hold."""

    __slots__ = ("_choice", "_needed", "always")

    def __init__(self, needed: Callable[[], set[str]]) -> None:
        self._choice = Choice()
        super().__init__(TypeUrl.CLUSTER, deniable=True, subscription=self._choice)
        self._needed = needed
        self.always: Set[str] = frozenset()

    @override
    def aim(self, snapshot: Snapshot) -> None:
        super().aim(snapshot)
        self.always = snapshot.always.get(TypeUrl.CLUSTER, frozenset())

    @override
    def publish(self, snapshot: Snapshot, *, follows: bool) -> None:
        super().publish(snapshot, follows=follows)
        self.pick(self.always)

    def pick(self, names: Iterable[str]) -> None:
        """The client shall have these, unless it wants only what it asks for."""
        if self._choice.left_to_us:
            new = [name for name in names if name not in self._choice.names]
            if new:
                self._choice.pick(new)
                self.look(new)

    @override
    def recall(self, names: Iterable[str]) -> Iterable[str]:
        if self._choice.left_to_us:
            self._choice.pick(names)
        return super().recall(names)

    @override
    def open(self, *, first: bool) -> None:
        self.greeting = first and self._choice.left_to_us
        self._pick_needed()

    @override
    def change(self, change: Change) -> None:
        if change.narrowed:
            picked = self._choice.names - self._choice.asked
            self._choice.drop(picked)
            self._forget(picked)
        super().change(Change(change.asked, change.dropped))
        # Who lets go of a name but not of `*` is told what `*` makes of it (R20): it stays, if it exists.
        self.pick(name for name in change.asked if self.lookup(name) is not None)
        if change.widened:
            self._pick_needed()
            self.greeting = True
            self.ask(self._choice.names)

    @override
    def accept(self) -> dict[str, Resource | None]:
        news = super().accept()
        # What has returned meanwhile is due.
        gone = {name for name in news if self.lookup(name) is None and name not in self._choice.asked}
        if gone:
            self._choice.drop(gone - self._needed())
        return news

    def has(self, name: str) -> bool:
        """The client holds it, warm, and is not being told to let it go."""
        return name in self.held and (self.awaited is None or self.expected(name) is not None)

    def is_on_its_way(self, name: str) -> bool:
        return self.awaited is not None and self.awaited.news.get(name) is not None

    def _pick_needed(self) -> None:
        self.pick(self._needed().union(self.always))
