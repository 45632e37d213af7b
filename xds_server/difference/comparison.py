"""Two states of what is in force, compared.

    records ──> what is written differently
    world   ──> who gets what: hosts and rules, gateways and what they listen on, explicit access, builds
    compilation ──> what proxies would be told

`difference` is a pure function. It looks at the apps that are not the same objects in both, so it costs what changed if
the one after has grown out of the one before (`admit`, `served`); that is also what makes it say what a server refuses.
"""

from dataclasses import dataclass

from xds_server.difference.builds import BuildChange, build_changes
from xds_server.difference.change import differing
from xds_server.difference.explicit import ExplicitChange, explicit_changes
from xds_server.difference.gateways import GatewayChange, gateway_changes
from xds_server.difference.records import RecordChange, record_changes
from xds_server.difference.resources import ResourceChange, resource_changes
from xds_server.difference.traffic import Edited, HostChange, edited, host_changes
from xds_server.domain.problems import Problem, Severity, beyond
from xds_server.pipeline import EMPTY, Compilation, compile_world
from xds_server.records.admitted import Admission


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """What is in force, and what it compiles to."""

    admission: Admission
    compilation: Compilation


def served(admission: Admission, before: Served | None = None) -> Served:
    """`before`: what need not be compiled again."""
    return Served(admission, compile_world(admission.world, before.compilation if before else EMPTY))


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that would be different. `refused` and `warned` are problems that come, `solved` ones that go."""

    traffic: tuple[HostChange, ...]
    edited: tuple[Edited, ...]
    gateways: tuple[GatewayChange, ...]
    explicit: tuple[ExplicitChange, ...]
    builds: tuple[BuildChange, ...]
    records: tuple[RecordChange, ...]
    resources: tuple[ResourceChange, ...]
    refused: tuple[Problem, ...]
    warned: tuple[Problem, ...]
    solved: tuple[Problem, ...]

    @property
    def changes(self) -> bool:
        """Whether anything that is in force would be different."""
        who = self.traffic or self.edited or self.gateways or self.explicit or self.builds
        return bool(who or self.records or self.resources)


def difference(before: Served, after: Served) -> Difference:
    one, two = before.admission, after.admission
    apps = frozenset(differing(one.world.apps, two.world.apps))
    same_problems = two.has_problems_of(one)
    came = () if same_problems else beyond(two.problems, one.problems)
    return Difference(
        traffic=host_changes(one, two, apps),
        edited=edited(one.world, two.world, apps),
        gateways=gateway_changes(one.world, two.world),
        explicit=explicit_changes(one.world, two.world, apps),
        builds=build_changes(one.world, two.world, apps),
        records=record_changes(one, two, apps),
        resources=resource_changes(before.compilation, after.compilation, apps),
        refused=tuple(each for each in came if each.severity is Severity.ERROR),
        warned=tuple(each for each in came if each.severity is Severity.WARNING),
        solved=() if same_problems else beyond(one.problems, two.problems),
    )
