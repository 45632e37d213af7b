"""xds-server: an Envoy control plane for shaping traffic by version.

The map, low to high; a layer imports only lower ones (checked by import-linter, `pyproject.toml`):

    domain | extension          names, builds, problems, errors; what an operator's extension imports
    records                     documents -> frozen records; which of them are in force
    graph | stats               distillation: which builds are live, who shares them; what counts allow to conclude
    rollout                     decide(): what a release that moves by itself does next
    snapshot | traffic          what proxies could be told; who gets what, in no proxy's words
    messages                    Envoy's messages: typed by envoy-data-plane, encoded by upb
    protocol | resources        SotW and delta streams without IO; intents -> Envoy messages
    pipeline | mesh | fleet_order | ledger | telemetry
                                compile_world(): the only road to Envoy; compile_mesh(): the sidecars; who hears first;
                                what is live; what becomes of requests
    difference                  two states of what is in force, compared; what a word may do to a release
    notifications               which webhook is told of what, and when once more
    ports                       what IO must provide
    sources | state | transport | api
    runtime                     tasks, clock, wiring, metrics, logs
    cli                         xds-server, xdsctl

Begin with `pipeline.py`, then one golden case in `tests/golden`, then the stage that you change.
"""

__version__ = "0.1.0"
