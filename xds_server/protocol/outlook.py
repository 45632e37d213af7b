"""The world as streams see it: one snapshot at a time, which many of them share."""

from xds_server.snapshot import NOTHING, Resources, Snapshot, TypeUrl


class Outlook:
    """The newest snapshot that its streams are told; none until there is one.

    Whoever is told of a newer one sees it at once, and those that it does not concern need not even hear of it.
    """

    __slots__ = ("snapshot",)

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot

    def of(self, type_url: TypeUrl | None) -> Resources:
        return self.snapshot.of(type_url) if self.snapshot is not None and type_url is not None else NOTHING
