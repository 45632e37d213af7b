"""The least that a gRPC server can be: it sends bytes that it is given to whoever is connected, and reads the answers.

On its standard input: `N FILE` sends the content of the file to N of its streams at once. To compare our server with.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio

from bench.fleet.proxy import SERVICE

Context = grpc.aio.ServicerContext[bytes, bytes]


async def main(port: int) -> None:
    streams: dict[Context, None] = {}

    async def converse(requests: AsyncIterator[bytes], context: Context) -> None:
        streams[context] = None
        try:
            async for _ in requests:
                pass
        finally:
            del streams[context]

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(converse)
    methods = dict.fromkeys(("StreamAggregatedResources", "DeltaAggregatedResources"), handler)
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.strip("/"), methods),))
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    await server.start()
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    async for line in lines:
        count, file = line.decode().split()
        payload = Path(file).read_bytes()
        await asyncio.gather(*(each.write(payload) for each in list(streams)[: int(count)]))
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
