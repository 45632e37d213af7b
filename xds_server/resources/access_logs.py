"""What is said about each request when it is over. Queries, cookies and credentials are secrets, and are not."""

from collections.abc import Mapping

from xds_server.domain import names
from xds_server.domain.addresses import read_address
from xds_server.domain.builds import BuildId
from xds_server.domain.names import CONTEXT_RULE, METADATA, NO_CONTEXT_RULE, OWNER_RULE
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    AccessLog,
    AccessLogFilter,
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    MetadataFilter,
    MetadataMatcher,
    MetadataMatcherPathSegment,
    RegexMatcher,
    StringMatcher,
    SubstitutionFormatString,
    TypedExtensionConfig,
    ValueMatcher,
)
from xds_server.messages.extensions import (
    CommonGrpcAccessLogConfig,
    OpenTelemetryAccessLogConfig,
    ReqWithoutQuery,
    StdoutAccessLog,
)
from xds_server.messages.google import Struct, Value
from xds_server.messages.opentelemetry import AnyValue, KeyValue, KeyValueList
from xds_server.records.models import AccessLog as Where
from xds_server.records.models import Gateway
from xds_server.resources.content import resource
from xds_server.resources.local_replies import REASON
from xds_server.resources.static_clusters import grpc_cluster
from xds_server.snapshot import Resource

WITHOUT_QUERY = TypedExtensionConfig(name="envoy.formatter.req_without_query", typed_config=pack(ReqWithoutQuery()))
FIELDS = {
    "start_time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    "path": "%REQ_WITHOUT_QUERY(:PATH)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "upstream_ms": "%COMMON_DURATION(US_TX_BEG:US_RX_END:ms)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "user_agent": "%REQ(USER-AGENT)%",
    "rule": f"%DYNAMIC_METADATA({names.METADATA}:rule)%",
    "deployment": f"%DYNAMIC_METADATA({names.METADATA}:deployment)%",
    "release": f"%METADATA(VIRTUAL_HOST:{names.METADATA}:release)%",
    "app": f"%METADATA(CLUSTER:{names.METADATA}:app)%",
    "component": f"%METADATA(CLUSTER:{names.METADATA}:component)%",
    "build": f"%METADATA(CLUSTER:{names.METADATA}:build)%",
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
}
"""Each field in Envoy's words, by the name that a log has for it. What a request does not have is left out."""
SIDECAR_FIELDS = {name: said for name, said in FIELDS.items() if name != "release"} | {
    REASON: f"%DYNAMIC_METADATA({METADATA}:{REASON})%"
}
"""A sidecar does not know which release gave a request its deployment."""
RULES = (CONTEXT_RULE, OWNER_RULE, NO_CONTEXT_RULE)
NO_PROBE = AccessLogFilter(
    metadata_filter=MetadataFilter(
        matcher=MetadataMatcher(
            filter=METADATA,
            path=[MetadataMatcherPathSegment(key="rule")],
            value=ValueMatcher(string_match=StringMatcher(safe_regex=RegexMatcher(regex="|".join(RULES)))),
        )
    )
)
"""Every caller asks all the time how an instance is: that is nothing to tell. (A filter cannot say "not this one".)"""


def gateway_logs(gateway: Gateway, listener: str) -> list[AccessLog]:
    fields = {"gateway": gateway.ref.word, "listener": listener, **FIELDS}
    return _logs(gateway.spec.access_log, gateway.ref.word, fields)


def outbound_logs(where: Where | None, build: BuildId, listener: str) -> list[AccessLog]:
    """Of the calls that a build makes."""
    return _sidecar_logs(where, build, {"caller": build.word, "listener": listener, **SIDECAR_FIELDS})


def inbound_logs(where: Where | None, build: BuildId, listener: str) -> list[AccessLog]:
    """Of who calls a build. It is the build that answers."""
    own = {"app": build.app.word, "component": build.component, "build": build.build}
    return _sidecar_logs(where, build, {"listener": listener, **SIDECAR_FIELDS, **own}, NO_PROBE)


def _sidecar_logs(
    where: Where | None, build: BuildId, fields: Mapping[str, str], only: AccessLogFilter | None = None
) -> list[AccessLog]:
    return _logs(where, f"{build.app.word}/{build.component}", fields, only) if where is not None else []


def _logs(where: Where, who: str, fields: Mapping[str, str], only: AccessLogFilter | None = None) -> list[AccessLog]:
    """`who` it is for a collector."""
    logs = []
    if where.stdout:
        logs.append(AccessLog(name="stdout", filter=only, typed_config=pack(_stdout(fields))))
    if where.otlp is not None:
        logs.append(AccessLog(name="otlp", filter=only, typed_config=pack(_otlp(who, fields))))
    return logs


def access_log_clusters(where: Where | None) -> dict[str, Resource]:
    """The collector that is named, if one is."""
    if where is None or where.otlp is None:
        return {}
    place = read_address(where.otlp)
    assert place is not None
    name = names.ACCESS_LOG_CLUSTER
    return {name: resource(name, grpc_cluster(name, place))}


def _stdout(fields: Mapping[str, str]) -> StdoutAccessLog:
    line = SubstitutionFormatString(
        json_format=Struct(fields={name: Value(string_value=said) for name, said in fields.items()}),
        omit_empty_values=True,
        formatters=[WITHOUT_QUERY],
    )
    return StdoutAccessLog(log_format=line)


def _otlp(who: str, fields: Mapping[str, str]) -> OpenTelemetryAccessLogConfig:
    service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=names.ACCESS_LOG_CLUSTER))
    return OpenTelemetryAccessLogConfig(
        common_config=CommonGrpcAccessLogConfig(
            log_name=who, transport_api_version=ApiVersion.V3, grpc_service=service
        ),
        resource_attributes=_attributes({"service.name": who}),
        body=AnyValue(string_value=" ".join((FIELDS["method"], FIELDS["path"], FIELDS["status"]))),
        attributes=_attributes(fields),
        formatters=[WITHOUT_QUERY],
    )


def _attributes(fields: Mapping[str, str]) -> KeyValueList:
    return KeyValueList(values=[KeyValue(key=name, value=AnyValue(string_value=said)) for name, said in fields.items()])
