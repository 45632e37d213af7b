"""Branches of a matcher tree, put together from parts that are encoded already.

Every rule of every release is a branch, nested in others, and each message around it would copy all that is inside.
So the few messages that only hold others together are written as fields here; what they hold is built and encoded by
type (`routes`, `predicates`). Field numbers are those of `xds/type/matcher/v3/matcher.proto`; a test compares every
function with the messages themselves.
"""

from collections.abc import Iterable, Mapping
from typing import NewType

from xds_server.messages.codec import encode, type_url
from xds_server.messages.envoy import RouteList
from xds_server.messages.fields import message_field, text_field
from xds_server.resources.predicates import Predicate, header_input

Branch = NewType("Branch", bytes)
"""An encoded `Matcher.OnMatch`: what happens to the requests that come here."""
Try = tuple[Predicate, Branch]

ROUTE_LIST = text_field(1, type_url(RouteList))


def routes(encoded: bytes) -> Branch:
    """The requests see this `RouteList` only."""
    packed = ROUTE_LIST + message_field(2, encoded)
    return Branch(message_field(2, text_field(1, "r") + message_field(2, packed)))


def choice(tries: Iterable[Try], otherwise: Branch) -> Branch:
    """The first of `tries` that holds, else `otherwise`: a nested matcher without one would fall through."""
    matchers = [message_field(1, message_field(1, when) + message_field(2, then)) for when, then in tries]
    if not matchers:
        return otherwise
    return _matcher(message_field(1, b"".join(matchers)), otherwise)


def lookup(header: str, branches: Mapping[str, Branch], otherwise: Branch) -> Branch:
    """The branch whose key is the header's value: one lookup, however many there are."""
    entries = [message_field(1, text_field(1, key) + message_field(2, branches[key])) for key in sorted(branches)]
    tree = message_field(1, encode(header_input(header))) + message_field(2, b"".join(entries))
    return _matcher(message_field(2, tree), otherwise)


def virtual_host(domain: str, then: Branch, stripped: str = "", retries: bytes = b"", *others: str) -> bytes:
    """An encoded `VirtualHost` but for its name, which is field 1 and comes before what this gives.

    `others` are more of its domains. `stripped` is the header that its applications do not get to see. `retries` is an
    encoded `RetryPolicy`, for the routes that have none.
    """
    again = message_field(16, retries) if retries else b""
    domains = b"".join(map(domain_field, (domain, *others)))
    return domains + text_field(13, stripped) + again + message_field(21, message_field(3, then))


def domain_field(domain: str) -> bytes:
    """How every encoded virtual host begins that has no name yet."""
    return text_field(2, domain)


def _matcher(kind: bytes, otherwise: Branch) -> Branch:
    return Branch(message_field(1, kind + message_field(3, otherwise)))
