"""Virtual hosts: a request is given its deployment first, then it sees that deployment's routes only.

    explicit   the selector header names the deployment: one lookup, however many there are
    audiences  in their order
    default    by slot: of the user if the release is sticky, else of the request
    nothing    a refusal

Bodies are encoded without the virtual host's name, which differs by listener and is put in front of them (`named`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from xds_server.domain import names
from xds_server.domain.names import DEFAULT_RULE, EXPLICIT_RULE, Ref
from xds_server.messages.codec import encode
from xds_server.messages.envoy import HeaderValue, HeaderValueOption
from xds_server.messages.fields import text_field
from xds_server.records.models import AppDeployment, Release, Retries, Sticky
from xds_server.resources import branches, predicates
from xds_server.resources.actions import usual_policy
from xds_server.resources.branches import Branch, Try
from xds_server.resources.draws import Choice, draw
from xds_server.resources.headers import APPEND
from xds_server.resources.routes import EncodedRoutes, encoded_routes, refusals, route_list
from xds_server.traffic.intents import (
    DEPLOYMENT_UNKNOWN,
    EXPLICIT_DENIED,
    HOST_UNKNOWN,
    TOO_OLD,
    WITHHELD,
    DefaultIntent,
    Refusal,
    ReleasedHost,
)
from xds_server.traffic.routes import deployment_routes
from xds_server.traffic.slots import SlotRange
from xds_server.traffic.style import Style


@dataclass(frozen=True, slots=True, eq=False)
class StyledDeployment:
    """A deployment's routes; where explicit requests are served, their encoded list and its own virtual host.

    `usual`: what its app's deployments try again unless they say something else. `needs`: the clusters that its routes
    lead to.
    """

    record: AppDeployment
    grpc: frozenset[str]
    usual: Retries | None
    routes: EncodedRoutes
    needs: tuple[str, ...]
    explicit: Branch | None
    host: bytes | None


Deployments = Mapping[Ref, StyledDeployment]


def styled_deployment(
    style: Style, record: AppDeployment, grpc: frozenset[str], usual: Retries | None
) -> StyledDeployment:
    """`grpc`: its components that speak it."""
    routes = encoded_routes(deployment_routes(record), grpc, usual)
    entries = sorted(name for name, each in record.spec.components.items() if each.routes)
    needs = tuple(names.cluster(record.ref, name) for name in entries)
    if not style.serves_explicit:
        return StyledDeployment(record, grpc, usual, routes, needs, None, None)
    explicit = branches.routes(route_list(EXPLICIT_RULE, routes))
    domain = style.host_of(record.ref)
    own = branches.virtual_host(domain, explicit, style.selector, _again(usual)) if domain else None
    return StyledDeployment(record, grpc, usual, routes, needs, explicit, own)


def released_needs(app: Deployments, release: Release, host: ReleasedHost) -> tuple[str, ...]:
    """The clusters to which requests on a release's host may go that name no deployment.

    Those of a share of 0 are among them: to release such a deployment is then a change of routes alone.
    """
    named = [intent.deployment for intent in host.audiences]
    if isinstance(host.otherwise, DefaultIntent):
        named += [release.refer(deployment) for deployment, _ in release.spec.shares]
    return tuple(sorted({cluster for ref in named for cluster in app[ref].needs}))


def released_body(
    style: Style, app: Deployments, explicit: Try | None, host: ReleasedHost, usual: Retries | None
) -> bytes:
    """The virtual host of a release's host. `explicit` is what `explicit_try` says for the app."""
    tries = [] if explicit is None else [explicit]
    for intent in host.audiences:
        then = branches.routes(route_list(intent.name, app[intent.deployment].routes))
        if intent.match is None:
            last = then
            break
        tries.append((predicates.audience(intent.match), then))
    else:
        draws, last = _otherwise(app, host.otherwise)
        tries += draws
    return branches.virtual_host(host.host, branches.choice(tries, last), style.selector, _again(usual))


def explicit_try(style: Style, app: Deployments) -> Try | None:
    """A selector names the deployment: one lookup, and a name that is none's gets nobody's routes."""
    if not style.selector:
        return None
    named = predicates.header_regex(style.selector, predicates.ANYTHING)
    if style.denies_explicit:
        return named, _refuse(EXPLICIT_DENIED, EXPLICIT_RULE)
    unknown = _refuse(DEPLOYMENT_UNKNOWN, EXPLICIT_RULE)
    known = {ref.word: each.explicit for ref, each in app.items() if each.explicit is not None}
    return named, branches.lookup(style.selector, known, unknown) if known else unknown


def template_body(style: Style) -> bytes:
    """Every host of the host template that is no deployment's."""
    refusal = DEPLOYMENT_UNKNOWN if style.serves_explicit else EXPLICIT_DENIED
    return branches.virtual_host("*" + style.template, _refuse(refusal, EXPLICIT_RULE))


def unknown_body(host: str = "*") -> bytes:
    """Every host that no other virtual host has."""
    return branches.virtual_host(host, _refuse(HOST_UNKNOWN))


def too_new_body(host: str) -> bytes:
    """A host that this proxy would understand in part only, and serve to more than it should."""
    return branches.virtual_host(host, _refuse(TOO_OLD))


def withheld_body(host: str) -> bytes:
    """A host that may not be served as it is: an extension that is to change it has never succeeded."""
    return branches.virtual_host(host, _refuse(WITHHELD))


def for_host(host: str, wildcard: str, body: bytes) -> bytes:
    """The virtual host of one name under a wildcard, of which this is the virtual host: all but the domain is its."""
    begins = branches.domain_field(wildcard)
    assert body.startswith(begins)
    return branches.domain_field(host) + body[len(begins) :]


def named(name: str, body: bytes) -> bytes:
    """A whole virtual host. `name` is field 1, so this is also the order in which an encoder writes it."""
    return text_field(1, name) + body


@lru_cache(maxsize=256)
def _again(usual: Retries | None) -> bytes:
    return encode(usual_policy(usual)) if usual is not None else b""


@cache
def _refuse(refusal: Refusal, rule: str = "-") -> Branch:
    return branches.routes(refusals(refusal, rule))


def _otherwise(app: Deployments, intent: DefaultIntent | Refusal) -> Choice:
    if isinstance(intent, Refusal):
        return Choice([], _refuse(intent, DEFAULT_RULE))
    plain = {each.deployment: _default(app, each) for each in intent.ranges}
    if intent.sticky is None or intent.sticky.cookie is None:
        return draw(intent, plain)
    line = _set_cookie(intent.sticky.cookie, intent.sticky)
    return draw(intent, plain, {each.deployment: _default(app, each, line) for each in intent.ranges})


def _default(app: Deployments, owner: SlotRange, set_cookie: bytes = b"") -> Branch:
    return branches.routes(route_list(DEFAULT_RULE, app[owner.deployment].routes, set_cookie))


def _set_cookie(name: str, sticky: Sticky) -> bytes:
    seconds = int(sticky.max_age.total_seconds())
    line = f"{name.replace('%', '%%')}=%REQ(x-request-id)%; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    return encode(HeaderValueOption(header=HeaderValue(key="set-cookie", value=line), append_action=APPEND))
