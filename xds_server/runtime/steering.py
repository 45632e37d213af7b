"""What somebody's word does to releases of a running server: take one back and pin it, and unpin it."""

from collections.abc import Callable

from xds_server.difference.history import Done, Event, Kind, Word, done_to
from xds_server.difference.rollouts import to_come
from xds_server.difference.steering import check_pinned, given_back, rolled_back
from xds_server.domain.names import Ref
from xds_server.records.admission import pinned, unpinned
from xds_server.records.pins import Pin
from xds_server.rollout import Frozen
from xds_server.runtime.clock import clock
from xds_server.runtime.control import Control


class Steering:
    """Belongs to the event loop of its control. `frozen`: what keeps every rollout where it is."""

    def __init__(self, control: Control, frozen: Callable[[], Frozen | None] = lambda: None) -> None:
        self._control = control
        self._frozen = frozen

    def rollback(self, release: Ref, to: Ref | None, word: Word) -> Event:
        """Give its users another deployment, or what they had before; and pin that. Raises `CannotSteer`."""
        admission = self._control.admission
        weights = given_back(admission, release, to, self._control.past(release))
        ended = rolled_back(admission, release, weights, f"{word.who}: {word.why}")
        after = pinned(admission, release, weights, Pin(clock(), *word), ended)
        return self._control.steer(after, release, Done("pinned", word, Kind.ROLLED_BACK))

    def unpin(self, release: Ref, word: Word, *, only_say: bool = False) -> Event:
        """Let a release follow its record again, or only say what that would do. Raises `CannotSteer`."""
        admission = self._control.admission
        check_pinned(admission, release)
        after = unpinned(admission, release, clock())
        done = Done("unpinned", word, Kind.UNPINNED)
        if only_say:
            event = done_to(release, admission, after, done, clock())
            follows = to_come(after, release, self._frozen())
            return event._replace(what=f"{event.what}; then {follows}") if follows else event
        return self._control.steer(after, release, done)

    def history(self, release: Ref) -> list[Event]:
        """What was done to a release, newest first."""
        return self._control.history(release)

    def content(self, release: Ref) -> str:
        """Of what is in force of a release; empty if nothing is."""
        return self._control.books.ledger.content(release) or ""
