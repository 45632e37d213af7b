"""A request that is bound to a deployment: which of its routes it takes, and where that leads."""

from collections.abc import Iterator

from xds_server.domain import names
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.records.models import AppDeployment, Build
from xds_server.records.world import AppWorld
from xds_server.traffic import conditions
from xds_server.traffic.calls import Target
from xds_server.traffic.decisions import Answer, Destination, Instance, Outcome, Step
from xds_server.traffic.intents import NO_ROUTE, Refusal
from xds_server.traffic.requests import Seen
from xds_server.traffic.routes import deployment_routes

NO_ENDPOINT = Answer(503, "NoHealthyEndpoint", "the build has no endpoint")


def bound(app: AppWorld, rule: str, given: Ref, request: Seen) -> Outcome:
    record = app.deployments[given]
    tried: list[Step] = []
    for intent in deployment_routes(record).routes:
        verdict = conditions.route_rule(intent.rule, request)
        tried.append(Step(f"route {intent.id}", verdict.holds, verdict.because))
        if verdict.holds:
            return _reached(rule, record, _destination(app, record, rule, (intent.id, intent.component)), tuple(tried))
    return refused(rule, NO_ROUTE, given.word, tuple(tried))


def called(app: AppWorld, rule: str, target: Target) -> Outcome:
    """A call inside the mesh: its deployment has been asked for the component, and every path leads there."""
    record = app.deployments[target.deployment]
    place = f"{target.component}.0", target.component
    return _reached(rule, record, _destination(app, record, rule, place))


def _reached(rule: str, record: AppDeployment, destination: Destination, tried: tuple[Step, ...] = ()) -> Outcome:
    """Where all instances drain, Envoy still sends requests: none would be worse."""
    answer = None if destination.endpoints else NO_ENDPOINT
    return Outcome(100.0, rule, record.ref.word, tried, destination, answer)


def refused(rule: str, refusal: Refusal, deployment: str = "-", routes: tuple[Step, ...] = ()) -> Outcome:
    answer = Answer(refusal.status, refusal.reason.value, refusal.message)
    return Outcome(100.0, rule, deployment, routes, answer=answer)


def _destination(app: AppWorld, record: AppDeployment, rule: str, place: tuple[str, str]) -> Destination:
    """`place`: a route, and the component that it leads to."""
    route, component = place
    build = record.spec.components[component].build
    return Destination(
        route=names.route(rule, record.ref, route),
        component=component,
        cluster=names.cluster(record.ref, component),
        build=BuildId(app.app, component, build).word,
        endpoints=_instances(app, component, build),
    )


def _instances(app: AppWorld, component: str, build: str) -> tuple[Instance, ...]:
    records = sorted(app.placed(component, build), key=lambda record: record.ref)
    found = {each.address: each for record in records for each in _placed(record)}
    return tuple(found[address] for address in sorted(found))


def _placed(record: Build) -> Iterator[Instance]:
    if record.spec.endpoints.dns is not None:
        yield Instance(record.spec.endpoints.dns, "", 1, 0, draining=False)
    for each in record.spec.endpoints.addresses or ():
        yield Instance(each.address, each.zone, each.weight, each.priority, each.draining)
