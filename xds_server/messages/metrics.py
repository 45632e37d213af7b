"""OTLP metrics, as far as they are read: what Envoy's stats sink exports.

envoy-data-plane has no definitions of them, and the official package would limit which protobuf is installed beside
this server for the sake of thirty fields. So those are written here. What else a message holds is skipped.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
PACKAGE = "xds_server.metrics"
MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Export": (("resource_metrics", 1, "*ResourceMetrics"),),
    "ResourceMetrics": (("resource", 1, "Resource"), ("scope_metrics", 2, "*ScopeMetrics")),
    "Resource": (("attributes", 1, "*Attribute"),),
    "Attribute": (("key", 1, "string"), ("value", 2, "Value")),
    "Value": (("string_value", 1, "string"),),
    "ScopeMetrics": (("metrics", 2, "*Metric"),),
    "Metric": (("name", 1, "string"), ("gauge", 5, "Numbers"), ("sum", 7, "Numbers"), ("histogram", 9, "Histogram")),
    "Numbers": (("data_points", 1, "*Number"),),
    "Number": (("start_time_unix_nano", 2, "fixed64"), ("time_unix_nano", 3, "fixed64"), ("as_int", 6, "sfixed64")),
    "Histogram": (("data_points", 1, "*Distribution"),),
    "Distribution": (
        ("start_time_unix_nano", 2, "fixed64"),
        ("time_unix_nano", 3, "fixed64"),
        ("count", 4, "fixed64"),
        ("sum", 5, "double"),
        ("bucket_counts", 6, "*fixed64"),
        ("explicit_bounds", 7, "*double"),
    ),
}
"""Name, number and type of each field; `*`: repeated."""


class Malformed(Exception):
    """These bytes are no export of metrics."""


def export(encoded: bytes) -> Any:
    """A message of upb (`MESSAGES`). Raises `Malformed`."""
    try:
        return _export().FromString(encoded)
    except DecodeError:
        raise Malformed("the export could not be decoded") from None


def metrics(exported: Any) -> Iterator[Any]:
    """Every `Metric`, whatever it is of."""
    for resource in exported.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def attribute(exported: Any, key: str) -> str:
    """What the exporter says of itself; empty if it does not."""
    return next(
        (
            str(each.value.string_value)
            for found in exported.resource_metrics
            for each in found.resource.attributes
            if each.key == key
        ),
        "",
    )


@cache
def _export() -> Any:
    file = FileDescriptorProto(name=PACKAGE, package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            _describe(message.field.add(name=field, number=number), kind)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Export"))


def _describe(field: FieldDescriptorProto, kind: str) -> None:
    of = kind.removeprefix("*")
    field.label = FieldDescriptorProto.LABEL_REPEATED if kind.startswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
    if of in MESSAGES:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{of}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{of.upper()}")
