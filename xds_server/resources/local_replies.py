"""What a client is told when Envoy has to answer: JSON with a reason, as in answers that this server decides."""

from xds_server.messages.envoy import AccessLogFilter, ResponseFlagFilter, SubstitutionFormatString
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
}
"""Envoy's response flags, and the words for them."""


def local_replies() -> LocalReplyConfig:
    return LocalReplyConfig(mappers=[_mapper(flag, reason) for flag, reason in REASONS.items()])


def _mapper(flag: str, reason: str) -> ResponseMapper:
    said = {"reason": Value(string_value=reason), "message": Value(string_value="%LOCAL_REPLY_BODY%")}
    return ResponseMapper(
        filter=AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=[flag])),
        body_format_override=SubstitutionFormatString(json_format=Struct(fields=said)),
    )
