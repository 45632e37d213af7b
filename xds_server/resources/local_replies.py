"""What a client is told when Envoy has to answer: JSON with a reason, as in answers that this server decides."""

from xds_server.messages.envoy import (
    AccessLogFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    ResponseFlagFilter,
    RuntimeUInt32,
    StatusCodeFilter,
    SubstitutionFormatString,
)
from xds_server.messages.extensions import LocalReplyConfig, ResponseMapper
from xds_server.messages.google import Struct, Value

REASONS = {
    "NR": "NoRoute",
    "NC": "NoCluster",
    "UH": "NoHealthyEndpoint",
    "UF": "ConnectionFailed",
    "UC": "ConnectionReset",
    "UR": "ConnectionReset",
    "UO": "Overflow",
    "UT": "Timeout",
    "SI": "Timeout",
}
"""Envoy's response flags, and the words for them."""
LATE = AccessLogFilter(
    status_code_filter=StatusCodeFilter(
        comparison=ComparisonFilter(
            op=ComparisonFilterOp.EQ, value=RuntimeUInt32(default_value=504, runtime_key="xds_server.late")
        )
    )
)
"""The end of a stream's longest duration has no flag. Nobody sets the key, but Envoy wants one."""


def local_replies() -> LocalReplyConfig:
    flags = [(_flag(flag), reason) for flag, reason in REASONS.items()]
    return LocalReplyConfig(mappers=[_mapper(*each) for each in [*flags, (LATE, "Timeout")]])


def _flag(flag: str) -> AccessLogFilter:
    return AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=[flag]))


def _mapper(of: AccessLogFilter, reason: str) -> ResponseMapper:
    said = {"reason": Value(string_value=reason), "message": Value(string_value="%LOCAL_REPLY_BODY%")}
    return ResponseMapper(
        filter=of,
        body_format_override=SubstitutionFormatString(json_format=Struct(fields=said)),
    )
