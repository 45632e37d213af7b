"""What extensions mean for whoever compiles: which calls are needed, who waits for them, and what went wrong."""

from collections.abc import Iterable, Mapping
from itertools import chain

from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem
from xds_server.domain.versions import OLDEST, Minor
from xds_server.messages.since import News, news
from xds_server.pipeline import EMPTY, Compilation
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.wants import place_in
from xds_server.resources.extension_problems import (
    FIELD,
    Misfit,
    failure_problem,
    misfit_problem,
    misfits,
    newer_problem,
    records_of,
)
from xds_server.resources.extensions import Call, Extensions, Slot
from xds_server.runtime.extensions import Extender

Newer = tuple[Call, tuple[News, ...]]


class Extending:
    """Keeps an extender at work for the newest compilation."""

    def __init__(self, extender: Extender) -> None:
        self._extender = extender
        self._compilation = EMPTY
        self._openings: dict[Ref, set[bytes]] = {}
        self._misfits: dict[Ref, tuple[Misfit, ...]] = {}
        self._newer: dict[Ref | None, tuple[Newer, ...]] = {}

    @property
    def known(self) -> Extensions:
        return self._extender.known

    def follow(self, compilation: Compilation, apps: Iterable[Ref]) -> None:
        """The newest compilation, and the apps that may differ from the one before."""
        self._compilation = compilation
        calls = list(compilation.calls(apps))
        self._extender.want(calls)
        if self.known.types:
            self._look((None, *apps), calls)
        for app in apps if self.known.types else ():
            self._misfits.pop(app, None)
            found = tuple(misfits(records_of(compilation.world.app(app)), self.known.types))
            if found:
                self._misfits[app] = found
        for gone in self._openings.keys() - compilation.gateways.keys():
            del self._openings[gone]
        for new in compilation.gateways.keys() - self._openings.keys():
            keys = {call.key for call in compilation.calls_at(new)}
            self._openings[new] = keys - self.known.outcomes.keys()

    def holds(self, gateway: Ref) -> bool:
        """Nobody was told of the gateway yet, and the first that they are told is to be extended."""
        return bool(self._openings[gateway])

    def is_late(self, app: Ref) -> bool:
        """What is told of the app is without what its extensions are still to make."""
        calls = (call for call in self._compilation.calls([app]) if call.app == app) if self.known.types else ()
        return any(call.key not in self.known.outcomes for call in calls)

    def settle(self, call: Call) -> bytes | None:
        """What was made of the resource, if that is news."""
        for keys in self._openings.values():
            keys.discard(call.key)
        outcome = self.known.outcomes.get(call.key)
        if not isinstance(outcome, bytes) or outcome == self.known.good.get(call.slot):
            return None
        self._extender.remember(call.slot, outcome)
        return outcome

    def recall(self, good: Mapping[Slot, bytes]) -> None:
        """What was made of resources before this process began."""
        for slot, body in good.items():
            self._extender.remember(slot, body)

    def forget_unused(self) -> list[Slot]:
        """Of the resources that nothing is to be made of any more, after a restart."""
        used = {call.slot for gateway in self._compilation.gateways for call in self._compilation.calls_at(gateway)}
        unused = [slot for slot in self.known.good if slot not in used]
        for slot in unused:
            self._extender.remember(slot, None)
        return unused

    def wants(self, call: Call) -> bool:
        apps = [] if call.app is None else [call.app]
        return any(each.key == call.key for each in self._compilation.calls(apps))

    def _look(self, owners: Iterable[Ref | None], calls: Iterable[Call]) -> None:
        """What extensions gave to these apps, and to gateways, that the oldest supported Envoy does not know."""
        for owner in owners:
            self._newer.pop(owner, None)
        for call in calls:
            outcome = self.known.outcomes.get(call.key)
            found = news(call.slot.type_url, outcome) if isinstance(outcome, bytes) else ()
            if found:
                self._newer[call.app] = (*self._newer.get(call.app, ()), (call, found))

    def problems(self, admission: Admission, oldest: Minor | None = OLDEST) -> frozenset[Problem]:
        """Extensions that failed for what is in force, annotations that do nothing, and what the oldest proxy does not
        know, if there is one.
        """

        def locate(key: Key) -> Place:
            return place_in(admission, key, FIELD)

        types = self.known.types
        failures = (pair for pair in self._extender.failures if self.wants(pair[0]))
        found = [failure_problem(call, failure, types, locate) for call, failure in failures]
        newer = (each for of_app in self._newer.values() for each in of_app)
        found += [newer_problem(*each, locate) for each in newer if oldest is not None and each[1][0].since > oldest]
        at_gateways = misfits(self._compilation.world.gateways.values(), types)
        unused = chain(at_gateways, *self._misfits.values()) if types else ()
        return frozenset([*found, *(misfit_problem(each, types, locate) for each in unused)])
