"""What connected proxies refuse of what they should have now: problems that only they can find."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from typing_extensions import override

from xds_server.domain.names import Ref, ref
from xds_server.domain.problems import Problem
from xds_server.protocol.events import Acked, Nacked, Node
from xds_server.records.admitted import Admission
from xds_server.resources.refusals import Refusal, refusal_problems
from xds_server.runtime.observers import Nobody
from xds_server.snapshot import Resource, TypeUrl


class _Subject(NamedTuple):
    """A resource as the proxies of one gateway have it."""

    gateway: Ref
    type_url: str
    name: str


class _Refused:
    """A content that proxies refuse. The first of them speaks for all, so that a fleet is no storm of problems."""

    __slots__ = ("nodes", "version", "why")

    def __init__(self, version: str) -> None:
        self.version = version
        self.why = ""
        self.nodes: dict[str, None] = {}

    @property
    def summary(self) -> tuple[str, str, bool]:
        return self.why, next(iter(self.nodes)), len(self.nodes) == 1


class Refusals(Nobody):
    """A refusal stands until the proxy accepts the resource or is gone, or until it should have another content.

    `wanted` gives what a gateway's newest proxies should have; `changed` is called when `problems` may have.
    """

    def __init__(self, wanted: Callable[[Ref, TypeUrl, str], Resource | None], changed: Callable[[], None]) -> None:
        self._wanted = wanted
        self._changed = changed
        self._streams: Counter[str] = Counter()
        self._refused: dict[_Subject, _Refused] = {}

    @override
    def opened(self, node: Node, mode: str) -> None:
        self._streams[node.id] += 1

    @override
    def closed(self, node: Node, mode: str) -> None:
        self._streams[node.id] -= 1
        if not self._streams[node.id]:
            del self._streams[node.id]
            self._withdraw(node, list(self._refused))

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        news = [self._add(node, nacked, name, version) for name, version in nacked.refused.items()]
        if any(news):
            self._changed()

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        if self._refused:
            settled = {*acked.removed, *(each.name for each in acked.resources)}
            subjects = (each for each in self._refused if each.type_url == acked.type_url and each.name in settled)
            self._withdraw(node, list(subjects))

    def problems(self, admission: Admission) -> Iterator[Problem]:
        """Of what is refused and still wanted; the rest is forgotten."""
        for subject, refused in list(self._refused.items()):
            wanted = self._wanted(subject.gateway, TypeUrl(subject.type_url), subject.name)
            if refused.version not in _versions(wanted):
                del self._refused[subject]
            else:
                why, proxy, alone = refused.summary
                yield from refusal_problems(Refusal(*subject, proxy, alone, why), admission)

    def _add(self, node: Node, nacked: Nacked, name: str, version: str) -> bool:
        """Whether it is news to an operator."""
        subject = _Subject(ref(node.cluster), nacked.type_url, name)
        refused = self._refused.get(subject)
        before = refused.summary if refused is not None and refused.version == version else None
        if refused is None or refused.version != version:
            refused = self._refused[subject] = _Refused(version)
        refused.nodes[node.id] = None
        if next(iter(refused.nodes)) == node.id:
            refused.why = nacked.reason
        return refused.summary != before

    def _withdraw(self, node: Node, subjects: Iterable[_Subject]) -> None:
        """The proxy refuses these no longer."""
        found = [each for each in subjects if node.id in self._refused[each].nodes]
        for subject in found:
            refused = self._refused[subject]
            del refused.nodes[node.id]
            if not refused.nodes:
                del self._refused[subject]
        if found:
            self._changed()


def _versions(resource: Resource | None) -> Iterator[str]:
    """What newer and older proxies should have."""
    while resource is not None:
        yield resource.version
        resource = resource.older
