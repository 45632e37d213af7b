"""What connected proxies refuse of what they should have now: problems that only they can find."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.ledger.standing import Refusals as Standings
from xds_server.ledger.standing import Standing
from xds_server.protocol.events import Acked, Nacked, Node
from xds_server.records.admitted import Admission
from xds_server.resources.refusals import Refusal, refusal_problems
from xds_server.runtime.observers import Nobody
from xds_server.runtime.worlds import Fleet, follows
from xds_server.snapshot import Delivery, TypeUrl, kind_of
from xds_server.transport.connections import Connections


class Subject(NamedTuple):
    """A content of a resource, as proxies of one fleet are sent it: older ones may be sent another."""

    fleet: Fleet
    type_url: str
    name: str
    version: str


class _Refused:
    """Who refuses it. The first of them speaks for all, so that a fleet is no storm of problems."""

    __slots__ = ("nodes", "why")

    def __init__(self) -> None:
        self.why = ""
        self.nodes: dict[str, None] = {}

    @property
    def summary(self) -> tuple[str, bool, str]:
        return next(iter(self.nodes), ""), len(self.nodes) == 1, self.why


class Refusals(Nobody):
    """A refusal stands until the proxy accepts the resource, refuses another content of it, or is gone. It is a problem
    while that content is what the proxy should have.

    A content in quarantine is one that nobody has: the proxy that refused it accepts last good, and may be gone.

    `wanted` tells whether proxies of a fleet should have a content, `quarantined` whether it is kept from them;
    `changed` is called when `problems` may have.
    """

    def __init__(
        self,
        wanted: Callable[[Fleet, TypeUrl, str, str], bool],
        quarantined: Callable[[Fleet, TypeUrl, str, str], bool],
        changed: Callable[[], None],
    ) -> None:
        self._wanted = wanted
        self._quarantined = quarantined
        self._changed = changed
        self._streams: Counter[str] = Counter()
        self._refused: dict[Subject, _Refused] = {}
        self._gone: set[str] = set()

    @override
    def opened(self, node: Node, mode: str) -> None:
        self._streams[node.id] += 1
        self._gone.discard(node.id)

    @override
    def closed(self, node: Node, mode: str) -> None:
        self._streams[node.id] -= 1
        if not self._streams[node.id]:
            del self._streams[node.id]
            self._gone.add(node.id)
            if self._forget_gone():
                self._changed()

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        news = [self._add(node, nacked, name, version) for name, version in nacked.refused.items()]
        if any(news):
            self._changed()

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        if self._refused:
            settled = {**dict.fromkeys(acked.removed, ""), **{each.name: each.version for each in acked.resources}}
            subjects = [each for each in self._refused if each.type_url == acked.type_url and each.name in settled]
            over = [each for each in subjects if settled[each.name] == each.version or not self._stands(each)]
            withdrawn = self._withdraw(node.id, over)
            if self._forget_gone() or withdrawn:
                self._changed()

    def problems(self, admission: Admission) -> Iterator[Problem]:
        self._forget_gone()
        for subject in self._refused:
            fleet, type_url, name, version = subject
            if self._wanted(fleet, TypeUrl(type_url), name, version):
                yield from self.problems_of(subject, admission)

    def problems_of(self, subject: Subject, admission: Admission) -> Iterator[Problem]:
        """Those of one content, if it is refused."""
        refused = self._refused.get(subject)
        if refused is not None:
            yield from refusal_problems(Refusal(*subject[:3], *refused.summary), admission)

    def of(self, gateway: Ref) -> Iterator[Subject]:
        """All that proxies of a gateway refuse, also of what they should not have any more."""
        return (subject for subject in self._refused if subject.fleet == gateway)

    def _forget_gone(self) -> bool:
        """Who is gone refuses nothing but what is in quarantine; whether that has ended for anything."""
        if not self._gone:
            return False
        over = [each for each in self._refused if not self._stands(each)]
        ended = [self._withdraw(node, over) for node in self._gone]
        self._gone.intersection_update(node for each in self._refused.values() for node in each.nodes)
        return any(ended)

    def _stands(self, subject: Subject) -> bool:
        """Whatever becomes of the proxy."""
        fleet, type_url, name, version = subject
        return self._quarantined(fleet, TypeUrl(type_url), name, version)

    def _add(self, node: Node, nacked: Nacked, name: str, version: str) -> bool:
        """Whether it is news to an operator."""
        subject = Subject(follows(node), nacked.type_url, name, version)
        same = (each for each in self._refused if each[:3] == subject[:3] and each != subject)
        withdrawn = self._withdraw(node.id, same)
        refused = self._refused.setdefault(subject, _Refused())
        before = refused.summary
        refused.nodes[node.id] = None
        if next(iter(refused.nodes)) == node.id:
            refused.why = nacked.reason
        return withdrawn or refused.summary != before

    def _withdraw(self, node: str, subjects: Iterable[Subject]) -> bool:
        """The proxy refuses these no longer; whether it did."""
        found = [each for each in subjects if each in self._refused and node in self._refused[each].nodes]
        for subject in found:
            refused = self._refused[subject]
            del refused.nodes[node]
            if not refused.nodes:
                del self._refused[subject]
        return bool(found)


class StandingRefusals(Standings):
    """The same for the ledger. `holds_back` tells whether proxies of a gateway are kept from a content, and from what
    needs it."""

    def __init__(
        self,
        refusals: Refusals,
        connections: Connections,
        holds_back: Callable[[Ref, Delivery, TypeUrl, str, str], bool],
        admission: Callable[[], Admission],
    ) -> None:
        self._refusals = refusals
        self._connections = connections
        self._holds_back = holds_back
        self._admission = admission

    @override
    def standing(self, gateway: Ref, delivery: Delivery) -> list[Standing]:
        found = []
        for _, type_url, name, version in self._refusals.of(gateway):
            kind = TypeUrl(type_url)
            held_back = self._holds_back(gateway, delivery, kind, name, version)
            found.append(Standing(gateway, kind, name, version, held_back))
        return found

    @override
    def words(self, refusal: Standing) -> str:
        subject = Subject(refusal.gateway, refusal.kind, refusal.name, refusal.version)
        problems = list(self._refusals.problems_of(subject, self._admission()))
        records = ", ".join(dict.fromkeys(each.record for each in problems))
        return (
            f"{records}: {problems[0].what}" if problems else f"a proxy refuses {kind_of(refusal.kind)} {refusal.name}"
        )

    @override
    def lacks(self, proxy: str, stream: int, refusal: Standing) -> bool:
        found = self._connections.on(Node(proxy, stream=stream))
        return found is not None and found.stream.lacks(refusal.kind, refusal.name, refusal.version)
