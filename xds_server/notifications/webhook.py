"""Where notifications go, and one that is on its way there."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from xds_server.difference.history import Event, Kind
from xds_server.domain.names import Ref
from xds_server.notifications.message import About, release_message


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that is told of events. `kinds` and `releases`: of which; empty: of all.

    `secret` and `ca` are files, as they were written. `releases` are words of releases, in which `*` is anything.
    """

    name: str
    url: str
    secret: str
    ca: str = ""
    kinds: frozenset[Kind] = frozenset()
    releases: tuple[str, ...] = ()

    def wants(self, event: Event) -> bool:
        word = event.release.word
        of_release = not self.releases or any(fnmatchcase(word, each) for each in self.releases)
        return of_release and (not self.kinds or event.kind in self.kinds)


class Notification(NamedTuple):
    """An event for one webhook. Its `id` is the event's, whichever webhook it is for and however often it is sent."""

    webhook: str
    event: Event
    id: str
    body: str


@dataclass(frozen=True, slots=True)
class Notifying:
    """Which notifications come of an event. `about` knows its release, `new_id` is asked once for each event.

    `source` is who says it: a URI.
    """

    webhooks: tuple[Webhook, ...]
    source: str
    about: Callable[[Ref], About]
    new_id: Callable[[], str]

    def notifications(self, told: Iterable[tuple[Event, str]]) -> Iterator[Notification]:
        """Of events, each with the content that it is about; empty: what is in force by it."""
        for event, content in told:
            webhooks = [each for each in self.webhooks if each.wants(event)]
            if webhooks:
                about = self.about(event.release)
                about = about._replace(content=content or about.content)
                name = self.new_id()
                body = release_message(event, about, self.source, name)
                yield from (Notification(each.name, event, name, body) for each in webhooks)
