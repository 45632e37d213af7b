"""Which Envoys are connected: extensions may use what the oldest of them knows; and who is too old at all."""

from collections import Counter
from collections.abc import Callable, Iterator

from typing_extensions import override

from xds_server.domain.names import Ref, ref
from xds_server.domain.problems import Problem
from xds_server.domain.versions import OLDEST, Minor
from xds_server.protocol.events import Node
from xds_server.records.admitted import Admission
from xds_server.resources.refusals import Outdated, outdated_problem
from xds_server.runtime.observers import Nobody


class Connected(Nobody):
    """`changed` is called when `oldest` or `problems` may have changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._versions: Counter[Minor] = Counter()
        self._outdated: Counter[Node] = Counter()

    @property
    def oldest(self) -> Minor | None:
        """The oldest of those that are served; None while there is none."""
        return min((each for each in self._versions if each >= OLDEST), default=None)

    @override
    def opened(self, node: Node, mode: str) -> None:
        before = self.oldest
        self._versions[node.envoy] += 1
        if node.envoy < OLDEST:
            self._outdated[node] += 1
        if node.envoy < OLDEST or self.oldest != before:
            self._changed()

    @override
    def closed(self, node: Node, mode: str) -> None:
        before = self.oldest
        self._versions = +(self._versions - Counter([node.envoy]))
        self._outdated = +(self._outdated - Counter([node]))
        if node.envoy < OLDEST or self.oldest != before:
            self._changed()

    def problems(self, admission: Admission) -> Iterator[Problem]:
        """Of each gateway in force that has proxies which are told nothing: the first of them speaks for all."""
        found: dict[Ref, list[Node]] = {}
        for node in self._outdated:
            found.setdefault(ref(node.cluster), []).append(node)
        for gateway, nodes in found.items():
            outdated = Outdated(gateway, nodes[0].id, nodes[0].version, alone=len(nodes) == 1)
            problem = outdated_problem(outdated, admission)
            if problem is not None:
                yield problem
