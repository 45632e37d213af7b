"""SotW and delta xDS as pure stream objects: events in, effects out. No IO, no clock, no logging.

    stream = DeltaStream()
    stream.publish(snapshot)                # a newer world
    effects = stream.receive(request)       # the client said something

`events` has both vocabularies. `stream` tells how a stream works; `sotw` and `delta` are its two dialects. `channel` is
one resource type on one stream, `subscription` what is wanted of it, and `plan` what waits for what. `on_demand` is how
the same is done for a client that is sent only what it asks for: its `clusters`, its `virtual_hosts`, and the `budget`
of answers about those that do not exist.
"""
