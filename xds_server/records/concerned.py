"""Which records that are held back a change may help: what they lack may have come with it."""

from collections.abc import Iterable, Iterator, Set

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.in_force import InForce
from xds_server.records.wants import Wants
from xds_server.records.world import app_of


def concerned(changed: Set[Key], before: Admission, wants: Wants, in_force: InForce) -> Iterator[Key]:
    """Those of the apps of which one of these records `changed`, and those that wait for a gateway or a host."""
    if not before.held:
        return

    def apps_of(key: Key) -> Iterator[Ref]:
        return _apps_of(key, before, wants, in_force)

    kinds = {key.kind for key in changed}
    apps = {app for key in changed for app in apps_of(key)}
    of_some_app = any(key.kind == "AppDeployment" and not any(apps_of(key)) for key in changed)
    for key, problems in before.held.items():
        for_gateway = "Gateway" in kinds and key.kind in ("Release", "Gateway")
        for_deployment = of_some_app and key.kind == "Release"
        for_host = "Release" in kinds and (key.kind == "Gateway" or _wants_a_host(problems))
        if wants.uncovered or for_gateway or for_deployment or for_host or not apps.isdisjoint(apps_of(key)):
            yield key


def _apps_of(key: Key, before: Admission, wants: Wants, in_force: InForce) -> Iterator[Ref]:
    """The apps that a record is of: as it is in force, as it is wanted, and as it was wanted before."""
    entry = in_force.get(key)
    records = [entry.record] if entry else []
    documents = (*wants.of(key), *before.wanted.get(key, ()))
    for record in (*records, *(each.record for each in documents if each.record is not None)):
        app = app_of(record)
        if app is not None:
            yield app


def _wants_a_host(problems: Iterable[Problem]) -> bool:
    return any(each.reason is Reason.ROUTE_CONFLICT for each in problems)
