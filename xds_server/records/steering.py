"""What somebody's word, or a rollout, does to releases: they give something else than their records say.

A release that is *pinned* gives the same weights whatever is wanted of it; one that is *steered* gives the weights of
its rollout; an audience that is *moved* gets another deployment. What is in force is the record with that in it.
"""

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission, Entry
from xds_server.records.documents import Document, Key
from xds_server.records.in_force import InForce
from xds_server.records.models import Release
from xds_server.records.pins import Pin
from xds_server.records.releases import Weights
from xds_server.records.rewritten import with_default
from xds_server.records.saved import MOVED, PIN, STEERED
from xds_server.records.steered import Moved, Steered, steered_document


class Steering:
    """The releases that do not give what their records say, while one step of an admission is made.

    Everything acts at once upon what is in force. `changed` are the pins, rollouts and moves that are new, other or
    gone.
    """

    def __init__(self, before: Admission, in_force: InForce) -> None:
        self.pins: Map[Ref, Pin] = before.pins
        self.steered: Map[Ref, Steered] = before.steered
        self.moved: Map[Ref, tuple[Moved, ...]] = before.moved
        self.changed: set[Key] = set()
        self._in_force = in_force

    def pin(self, release: Ref, weights: Weights, pin: Pin) -> None:
        """It gives these weights, and everything else that it gives, until it is unpinned."""
        self.pins = self.pins.set(release, pin)
        self.changed.add(Key(PIN, release))
        self._give(release, weights)

    def unpin(self, release: Ref) -> None:
        """It may follow its record again; audiences that were moved are where its record says."""
        if release in self.pins:
            self.pins = self.pins.delete(release)
            self.changed.add(Key(PIN, release))
        self._move_back(release)

    def steer(self, release: Ref, steered: Steered) -> None:
        """It gives what its rollout says. One that is pinned goes on to give what it is pinned to."""
        self.steered = self.steered.set(release, steered)
        self.changed.add(Key(STEERED, release))
        self._give(release, None if release in self.pins else steered.weights)

    def move(self, release: Ref, moved: Moved) -> None:
        """An audience gets another deployment."""
        others = tuple(each for each in self.moved.get(release, ()) if each.audience != moved.audience)
        self.moved = self.moved.set(release, (*others, moved))
        self.changed.add(Key(MOVED, release))
        self._give(release, None)

    def forget(self, release: Ref) -> None:
        """Nothing steers what is gone."""
        self._move_back(release)
        if release in self.steered:
            self.steered = self.steered.delete(release)
            self.changed.add(Key(STEERED, release))

    def document(self, key: Key, document: Document) -> Document:
        """What is wanted in place of what a document says."""
        steered, moved = self.steered.get(key.ref), self.moved.get(key.ref, ())
        of_release = key.kind == "Release" and (steered is not None or moved)
        return steered_document(document, steered, moved) if of_release else document

    def read(self, key: Key, document: Document) -> None:
        """What this document says is in force, as far as nothing steers it: a rollout that it does not ask for ends."""
        steered = self.steered.get(key.ref) if key.kind == "Release" else None
        if steered is None or key.ref in self.pins:
            return
        record = document.record
        left = steered.read(record) if isinstance(record, Release) else None
        if left is not steered:
            self.steered = self.steered.delete(key.ref) if left is None else self.steered.set(key.ref, left)
            self.changed.add(Key(STEERED, key.ref))

    def _move_back(self, release: Ref) -> None:
        if release in self.moved:
            self.moved = self.moved.delete(release)
            self.changed.add(Key(MOVED, release))

    def _give(self, release: Ref, weights: Weights | None) -> None:
        key = Key("Release", release)
        entry = self._in_force.get(key)
        assert entry is not None
        moved = {each.audience: each.deployment for each in self.moved.get(release, ())}
        record, content = with_default(key, entry.content, weights, moved)
        if content != entry.content:
            self._in_force.put(key, Entry(record, content, entry.first_accepted))
            self._in_force.settle()
