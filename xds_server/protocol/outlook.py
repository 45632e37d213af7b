"""The world as streams see it: one snapshot at a time, which many of them share."""

from collections.abc import Mapping

from xds_server.snapshot import Resources, Snapshot, TypeUrl


class Outlook:
    """The newest snapshot that its streams are told; none until there is one. `resources` are those in it.

    Whoever is told of a newer one sees it at once, and those that it does not concern need not even hear of it.
    """

    __slots__ = ("_snapshot", "resources")

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.resources: Mapping[TypeUrl, Resources] = {}
        self.snapshot = snapshot

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot
        self.resources = snapshot.resources if snapshot is not None else {}
