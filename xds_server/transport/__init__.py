"""ADS over gRPC: a thin shell around the pure streams of `protocol`.

`server.XdsServer` listens, `session.Session` runs one stream, `requests` turns bytes into events.
"""
