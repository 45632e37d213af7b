"""An OpenTelemetry collector that keeps the log records that it is sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from typing_extensions import override

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


class Collector(grpc.GenericRpcHandler):
    """Takes log records over gRPC."""

    def __init__(self) -> None:
        self.records: list[dict[str, str]] = []
        """The attributes of each record, and what its resource is called."""

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        assert handler_call_details.method == EXPORT
        return grpc.unary_unary_rpc_method_handler(
            self._export, ExportLogsServiceRequest.FromString, ExportLogsServiceResponse.SerializeToString
        )

    def _export(self, request: Any, _: grpc.ServicerContext) -> Any:
        for each in request.resource_logs:
            of_resource = _said(each.resource.attributes)
            for scope in each.scope_logs:
                self.records += [
                    {**of_resource, **_said(record.attributes), "body": record.body.string_value}
                    for record in scope.log_records
                ]
        return ExportLogsServiceResponse()


def _said(attributes: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


@contextmanager
def collector() -> Iterator[tuple[Collector, int]]:
    """A collector, and its port on 127.0.0.1."""
    taken = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((taken,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield taken, port
    finally:
        server.stop(None).wait()
