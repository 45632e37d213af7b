"""What a client is told when Envoy has to answer: JSON with a reason, as in answers that this server decides."""

import re
from collections.abc import Iterable, Iterator

from xds_server.domain.names import EXPLICIT_RULE, METADATA, NOT_DELIVERED_HEADER
from xds_server.messages.envoy import (
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    DataSource,
    HeaderFilter,
    HeaderMatcher,
    HeaderValueOption,
    MetadataFilter,
    MetadataMatcher,
    MetadataMatcherPathSegment,
    RegexMatcher,
    ResponseFlagFilter,
    RuntimeUInt32,
    StatusCodeFilter,
    StringMatcher,
    SubstitutionFormatString,
    ValueMatcher,
)
from xds_server.messages.extensions import LocalReplyConfig, ResponseMapper
from xds_server.messages.google import Struct, Value
from xds_server.records.models import Gateway
from xds_server.resources.headers import header
from xds_server.resources.routes import REPEATED, refusal_text
from xds_server.traffic.intents import DEPLOYMENT_UNKNOWN, EXPLICIT_DENIED, HOST_UNKNOWN, Refusal
from xds_server.traffic.style import style_of

REASONS = {
    "NR": "NoRoute",
    "NC": "NoCluster",
    "UH": "NoHealthyEndpoint",
    "UF": "ConnectionFailed",
    "UC": "ConnectionReset",
    "UR": "ConnectionReset",
    "UO": "Overflow",
    "UPE": "ProtocolError",
    "UT": "Timeout",
    "SI": "Timeout",
}
"""Envoy's response flags, and the words for them."""
LATE, TOO_LARGE = 504, 507
"""Envoy's statuses for what has no flag: the end of a stream's longest duration; and a body that is longer than may be
kept for another try, which clients would take for a full disk.
"""
NO_ROUTE = "NR"
NOT_CONNECTED = "UF"
REASON, RULE = "reason", "rule"
"""Under which the Lua filter keeps why a request is refused, and its rule, beside its deployment."""
NOTHING_KEPT = StringMatcher(exact="-")
"""Neither a rule nor a reason is called so."""
UPGRADES = HeaderMatcher(name="upgrade", present_match=True)
PATHLESS = HeaderMatcher(name=":path", string_match=StringMatcher(prefix="/"), invert_match=True)
EARLY: tuple[tuple[int, HeaderMatcher | None, str, str], ...] = (
    (400, None, "BadRequest", "the request cannot be read"),
    (403, UPGRADES, "UpgradeRefused", "the protocol is not switched"),
    (404, PATHLESS, "BadRequest", "the path does not begin with /"),
    (408, None, "Timeout", "the request did not arrive in time"),
    (426, None, "OldProtocol", "send HTTP/1.1 or HTTP/2"),
    (431, None, "HeadersTooLarge", "the headers are too many or too long"),
    (501, None, "BadRequest", "the request cannot be read"),
)
"""What Envoy answers before a request is given a route, with no flag and often no body: by status, and by what tells it
from answers of routes and filters that somebody else has made.
"""
NO_TUNNEL = "no tunnel is opened (CONNECT)"
ADVICE = {
    "UpgradeRefused": ", unless policy.upgrades of the component names it",
    NO_ROUTE: ": send what is asked for to this port itself, by an http:// URL or its Host",
}
"""What those who write the application can do about it."""


def local_replies() -> LocalReplyConfig:
    """To strangers, who are told nothing of what is behind the gateway."""
    return LocalReplyConfig(mappers=_mappers(inside=False))


def local_replies_inside() -> LocalReplyConfig:
    """To applications: what they can do about it, and what Envoy calls it."""
    return LocalReplyConfig(mappers=_mappers(inside=True))


def _mappers(*unrouted: ResponseMapper, inside: bool) -> list[ResponseMapper]:
    """`unrouted`: for what has no route, and is no tunnel: that has none at any host."""
    flags = [(_flag(flag), reason) for flag, reason in REASONS.items()]
    repeated = [_refusal(_named(each), each) for each in REPEATED]
    statuses = [_mapper(_status(LATE), "Timeout"), _mapper(_status(TOO_LARGE), "RetryTooLarge", status=503)]
    tunnel = _tunnel(inside=inside)
    return [*repeated, tunnel, *unrouted, *(_mapper(*each) for each in flags), *statuses, *_early(inside=inside)]


def local_replies_to_callers() -> LocalReplyConfig:
    """In front of an application. A caller's proxy is told that nobody could connect to it, so that a POST may be tried
    elsewhere; what the application itself says of that is taken off before (`NOT_DELIVERED_HEADER`).
    """
    undelivered = _mapper(_flag(NOT_CONNECTED), REASONS[NOT_CONNECTED], [header(NOT_DELIVERED_HEADER, "true")])
    return LocalReplyConfig(mappers=[undelivered, *_mappers(inside=True)])


def local_replies_on_demand(gateway: Gateway) -> LocalReplyConfig:
    """A host that no virtual host has is answered here, as a virtual host answers it where all are delivered."""
    return LocalReplyConfig(mappers=_mappers(*_unknown(gateway), inside=False))


def _unknown(gateway: Gateway) -> Iterator[ResponseMapper]:
    style = style_of(gateway)
    if style.template:
        refusal = DEPLOYMENT_UNKNOWN if style.serves_explicit else EXPLICIT_DENIED
        named = HeaderMatcher(name=":authority", string_match=StringMatcher(safe_regex=_under(style.template)))
        both = _all(_flag(NO_ROUTE), _with_header(named))
        yield _refusal(both, refusal, EXPLICIT_RULE if gateway.spec.reveal.rule else "")
    yield _refusal(_flag(NO_ROUTE), HOST_UNKNOWN)


def _tunnel(*, inside: bool) -> ResponseMapper:
    connect = HeaderMatcher(name=":method", string_match=StringMatcher(exact="CONNECT"))
    message = NO_TUNNEL + ADVICE[NO_ROUTE] if inside else NO_TUNNEL
    return _mapper(_all(_flag(NO_ROUTE), _with_header(connect)), REASONS[NO_ROUTE], message=message)


def _early(*, inside: bool) -> Iterator[ResponseMapper]:
    """A request that was given a route has a rule or a reason."""
    for code, matcher, reason, why in EARLY:
        known = [_with_header(matcher)] if matcher is not None else []
        of = _all(_status(code), *known, _absent(REASON), _absent(RULE))
        details = f"{ADVICE.get(reason, '')}: %RESPONSE_CODE_DETAILS%" if inside else ""
        yield _mapper(of, reason, message=why + details)


def _all(*filters: AccessLogFilter) -> AccessLogFilter:
    return AccessLogFilter(and_filter=AndFilter(filters=list(filters)))


def _with_header(header_: HeaderMatcher) -> AccessLogFilter:
    return AccessLogFilter(header_filter=HeaderFilter(header=header_))


def _under(template: str) -> RegexMatcher:
    """A host that ends so, with a port or without."""
    return RegexMatcher(regex=f"(?i).+{re.escape(template)}(?::[0-9]*)?")


def _refusal(of: AccessLogFilter, refusal: Refusal, rule: str = "") -> ResponseMapper:
    said = DataSource(inline_string=refusal_text(refusal))
    return ResponseMapper(
        filter=of,
        status_code=refusal.status,
        headers_to_add=[header("x-served-rule", rule)] if rule else [],
        body_format_override=SubstitutionFormatString(text_format_source=said, content_type="application/json"),
    )


def _named(refusal: Refusal) -> AccessLogFilter:
    """The route that answers has the reason in its name, and the Lua filter has read it."""
    return _kept(REASON, StringMatcher(exact=refusal.reason), absent=False)


def _absent(key: str) -> AccessLogFilter:
    return _kept(key, NOTHING_KEPT, absent=True)


def _kept(key: str, value: StringMatcher, *, absent: bool) -> AccessLogFilter:
    """What the Lua filter keeps is this. `absent`: or it keeps nothing."""
    matcher = MetadataMatcher(
        filter=METADATA, path=[MetadataMatcherPathSegment(key=key)], value=ValueMatcher(string_match=value)
    )
    return AccessLogFilter(metadata_filter=MetadataFilter(matcher=matcher, match_if_key_not_found=absent))


def _flag(flag: str) -> AccessLogFilter:
    return AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=[flag]))


def _status(code: int) -> AccessLogFilter:
    """Nobody sets the key, but Envoy wants one."""
    value = RuntimeUInt32(default_value=code, runtime_key="xds_server.status")
    return AccessLogFilter(
        status_code_filter=StatusCodeFilter(comparison=ComparisonFilter(op=ComparisonFilterOp.EQ, value=value))
    )


def _mapper(
    of: AccessLogFilter,
    reason: str,
    more: Iterable[HeaderValueOption] = (),
    status: int | None = None,
    message: str = "%LOCAL_REPLY_BODY%",
) -> ResponseMapper:
    said = {"reason": Value(string_value=reason), "message": Value(string_value=message)}
    return ResponseMapper(
        filter=of,
        status_code=status,
        headers_to_add=list(more),
        body_format_override=SubstitutionFormatString(json_format=Struct(fields=said)),
    )
