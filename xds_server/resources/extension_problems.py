"""What an operator hears of extensions: those that fail, and annotations that can do nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.domain.versions import written
from xds_server.messages.since import News
from xds_server.records.documents import Key
from xds_server.records.extensions import ANNOTATION, extensions_of
from xds_server.records.models import Build, Record
from xds_server.records.world import AppWorld
from xds_server.resources.extensions import VIRTUAL_HOST, Call, Failure, Types, gives
from xds_server.snapshot import TypeUrl, kind_of

FIELD = ("metadata", "annotations", ANNOTATION)

Locate = Callable[[Key], Place]
"""Where the annotation of a record is."""


def failure_problem(call: Call, failure: Failure, types: Types, locate: Locate) -> Problem:
    context = call.context
    key = Key(context.kind, Ref(context.namespace, context.name))
    if failure.extension not in types:
        return _unknown(key, failure, locate)
    kind = kind_of(call.slot.type_url)
    where = f" ({failure.where})" if failure.where else ""
    what = f"extension {failure.extension} for {kind} {call.slot.name}: {failure.why}{where}"
    fix = f"Until it succeeds, proxies keep the {kind} that they have; one that they do not have is withheld"
    return Problem(locate(key), Reason.EXTENSION_FAILED, what, fix, str(key))


INSTEAD: Mapping[str, str] = {
    TypeUrl.LISTENER: "do not open it",
    VIRTUAL_HOST: "answer 503 for it",
    TypeUrl.CLUSTER: "do not get it, and answer 503 for its requests",
    TypeUrl.ENDPOINTS: "get no endpoints for it, and answer 503 for its requests",
}
"""What proxies do that would understand a resource in part only."""


def newer_problem(call: Call, found: Sequence[News], locate: Locate) -> Problem:
    """An extension has used what only newer Envoys know: older ones get nothing of it, rather than half of it."""
    context = call.context
    key = Key(context.kind, Ref(context.namespace, context.name))
    kind, since = kind_of(call.slot.type_url), written(found[0].since)
    names = ", ".join(each.name.removeprefix("envoy.") for each in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    what = (
        f"extension {', '.join(call.extensions)} gives {kind} {call.slot.name} what Envoys before {since} do not know "
        f"({names}{more}): those {INSTEAD[call.slot.type_url]}"
    )
    fix = f"Run Envoy {since} or later at every gateway, or leave it out"
    return Problem(locate(key), Reason.NEWER_ENVOY, what, fix, str(key), Severity.WARNING)


def _unknown(key: Key, failure: Failure, locate: Locate) -> Problem:
    """Of the record as a whole: one problem, however many resources come from it."""
    what = f"extension {failure.extension}: {failure.why}"
    fix = (
        f"Start the server with --extension MODULE:{failure.extension}, or take it out. Until then proxies keep "
        "what they have of this record; what they do not have is withheld"
    )
    return Problem(locate(key), Reason.EXTENSION_FAILED, what, fix, str(key))


Misfit = tuple[Record, str]


def misfits(records: Iterable[Record], types: Types) -> Iterator[Misfit]:
    """Extensions that take nothing of what comes from the record that names them."""
    for record in records:
        for name in extensions_of(record):
            if name in types and types[name] not in gives(record):
                yield record, name


def misfit_problem(misfit: Misfit, types: Types, locate: Locate) -> Problem:
    record, name = misfit
    takes, given = kind_of(types[name]), ", ".join(map(kind_of, gives(record))) or "nothing"
    which = f"{record.kind} with dns" if isinstance(record, Build) and not gives(record) else record.kind
    what = f"extension {name} takes a {takes}; a record {which} gives {given}"
    fix = f"Name it on a record that gives a {takes}"
    key = Key(record.kind, record.ref)
    return Problem(locate(key), Reason.EXTENSION_UNUSED, what, fix, str(key), Severity.WARNING)


def records_of(app: AppWorld) -> Iterator[Record]:
    if app.settings is not None:
        yield app.settings
    yield from app.builds.values()
    yield from app.deployments.values()
    yield from app.releases.values()
