"""A simulated fleet: many proxies, each with a TCP connection of its own, in a process beside the server under test.

`proxy` is what one of them says, without IO; `http2` carries that over a connection; `driver` is the process that runs
them, `running` starts it and talks to it; `bare` is the least that a gRPC server can be, to compare with.
"""
