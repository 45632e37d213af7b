"""Extensions: functions of the operator's, which may change a finished resource before proxies are told of it.

Compile calls nobody. It names each call that a resource needs, and looks up what came of it:

    changed     the resource is what the extension made of it
    failed      the resource stays as proxies have it
    not yet     so too

What proxies do not have at all is withheld: an extension may be what guards it. A call is named by everything that the
extension is given, so what came of it holds for as long as nothing of that changes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.extension import Context
from xds_server.messages.since import since
from xds_server.records.extensions import extensions_of
from xds_server.records.models import Build, Record
from xds_server.resources.content import digest, version
from xds_server.snapshot import Resource, TypeUrl

VIRTUAL_HOST = TypeUrl.VIRTUAL_HOST.value

TAKES = (TypeUrl.LISTENER.value, VIRTUAL_HOST, TypeUrl.CLUSTER.value, TypeUrl.ENDPOINTS.value)
"""What an extension may be registered for."""

GIVES: Mapping[str, tuple[str, ...]] = {
    "Gateway": (TypeUrl.LISTENER.value,),
    "Release": (VIRTUAL_HOST,),
    "AppDeployment": (TypeUrl.CLUSTER.value, VIRTUAL_HOST),
    "Build": (TypeUrl.ENDPOINTS.value,),
    "App": (),
}
"""Which resources come from a record of a kind, and are given to the extensions that it names."""


def gives(record: Record) -> tuple[str, ...]:
    """As `GIVES`, but what a proxy resolves by itself is not sent to it."""
    resolved = isinstance(record, Build) and record.spec.endpoints.dns is not None
    return () if resolved else GIVES[record.kind]


class Slot(NamedTuple):
    """Which resource, whatever its content. `gateway` is empty for what all gateways share; what is told in one
    delivery only says so behind it.
    """

    type_url: str
    gateway: str
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What extensions, one after the other, are to be given. `app` is None for a gateway's own resource."""

    key: bytes
    slot: Slot
    body: bytes
    extensions: tuple[str, ...]
    context: Context
    app: Ref | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An extension did not do what was asked of it: why, and where in its code, if that is known.

    `rest`: it was not even called, and will be in so many seconds.
    """

    extension: str
    why: str
    where: str = ""
    rest: float = 0.0


Outcome = bytes | Failure
Types = Mapping[str, str]
"""Every name that an annotation may say, and the type of resource that the extension takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Extensions:
    """The extensions that there are, and what came of the calls so far.

    `good` is what was last made of a resource before this process began.
    """

    types: Types = field(default_factory=dict)
    outcomes: Mapping[bytes, Outcome] = field(default_factory=dict)
    good: Mapping[Slot, bytes] = field(default_factory=dict)

    def wanted(self, record: Record, type_url: str) -> tuple[str, ...]:
        """Those that a record asks for and that take this type. One that nobody knows may take any."""
        names = extensions_of(record)
        return tuple(name for name in names if self.types.get(name, type_url) == type_url) if names else ()

    def body(self, call: Call, before: bytes | None) -> bytes | None:
        """What proxies are to have, given what they have; None for nothing."""
        outcome = self.outcomes.get(call.key)
        if isinstance(outcome, bytes):
            return outcome
        return before if before is not None else self.good.get(call.slot)

    def resource(self, call: Call, made: Resource, before: Resource | None) -> Resource | None:
        body = self.body(call, before.body if before is not None else None)
        if body is None or body == made.body:
            return made if body is not None else None
        if before is not None and body == before.body:
            return before
        extended = Resource(made.name, version(body), body, made.needs, made.occupies)
        return extended.for_envoys(since(call.slot.type_url, body))


class Origin(NamedTuple):
    """Whose a resource is: the record, its app (None for a gateway), and the gateway if it is no other's.

    `delivery`: the only one in which it is told so.
    """

    record: Record
    app: Ref | None
    gateway: str = ""
    delivery: str = ""


def call(slot: tuple[str, str], body: bytes, extensions: tuple[str, ...], origin: Origin) -> Call:
    """`slot`: the type and the name of the resource."""
    type_url, name = slot
    metadata = origin.record.metadata
    context = Context(origin.record.kind, metadata.namespace, metadata.name, dict(metadata.annotations), origin.gateway)
    said = [type_url, name, extensions, context.kind, context.namespace, context.name, context.gateway]
    head = json.dumps([*said, sorted(context.annotations.items())]).encode()
    slot_ = Slot(type_url, f"{origin.gateway} {origin.delivery}".strip(), name)
    return Call(digest(head + b"\0" + body), slot_, body, extensions, context, origin.app)
