"""What a gateway does with a request before it looks for its host."""

import re

from xds_server.traffic.decisions import Answer
from xds_server.traffic.requests import Request, Seen, seen

AUTHORITY = re.compile(r"[-0-9A-Za-z._~!$&'()*+,;=:@%\[\]]*")
INVALID_HOST = Answer(400, "BadRequest", "the host has characters that no host has")
FRAGMENT = Answer(400, "BadRequest", "the path has a fragment (#), which no client sends")


def enter(request: Request) -> Seen | Answer:
    """The request as rules are tried against it, or what it is answered at once."""
    if not AUTHORITY.fullmatch(request.authority):
        return INVALID_HOST
    if "#" in request.path:
        return FRAGMENT
    return seen(request)
