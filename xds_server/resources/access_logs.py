"""What is said about each request when it is over. Queries, cookies and credentials are secrets, and are not."""

from xds_server.domain import names
from xds_server.domain.addresses import read_address
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    AccessLog,
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    SubstitutionFormatString,
    TypedExtensionConfig,
)
from xds_server.messages.extensions import (
    CommonGrpcAccessLogConfig,
    OpenTelemetryAccessLogConfig,
    ReqWithoutQuery,
    StdoutAccessLog,
)
from xds_server.messages.google import Struct, Value
from xds_server.messages.opentelemetry import AnyValue, KeyValue, KeyValueList
from xds_server.records.models import Gateway
from xds_server.resources.content import resource
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


def access_logs(gateway: Gateway, listener: str) -> list[AccessLog]:
    said = gateway.spec.access_log
    fields = {"gateway": gateway.ref.word, "listener": listener, **FIELDS}
    logs = []
    if said.stdout:
        logs.append(AccessLog(name="stdout", typed_config=pack(_stdout(fields))))
    if said.otlp is not None:
        logs.append(AccessLog(name="otlp", typed_config=pack(_otlp(gateway, fields))))
    return logs


def access_log_clusters(gateway: Gateway) -> dict[str, Resource]:
    """The collector that the gateway names, if it does."""
    if gateway.spec.access_log.otlp is None:
        return {}
    place = read_address(gateway.spec.access_log.otlp)
    assert place is not None
    name = names.ACCESS_LOG_CLUSTER
    return {name: resource(name, grpc_cluster(name, place))}


def _stdout(fields: dict[str, str]) -> StdoutAccessLog:
    line = SubstitutionFormatString(
        json_format=Struct(fields={name: Value(string_value=said) for name, said in fields.items()}),
        omit_empty_values=True,
        formatters=[WITHOUT_QUERY],
    )
    return StdoutAccessLog(log_format=line)


def _otlp(gateway: Gateway, fields: dict[str, str]) -> OpenTelemetryAccessLogConfig:
    service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=names.ACCESS_LOG_CLUSTER))
    return OpenTelemetryAccessLogConfig(
        common_config=CommonGrpcAccessLogConfig(
            log_name=gateway.ref.word, transport_api_version=ApiVersion.V3, grpc_service=service
        ),
        resource_attributes=_attributes({"service.name": gateway.ref.word}),
        body=AnyValue(string_value=" ".join((FIELDS["method"], FIELDS["path"], FIELDS["status"]))),
        attributes=_attributes(fields),
        formatters=[WITHOUT_QUERY],
    )


def _attributes(fields: dict[str, str]) -> KeyValueList:
    return KeyValueList(values=[KeyValue(key=name, value=AnyValue(string_value=said)) for name, said in fields.items()])
