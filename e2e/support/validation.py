"""Envoy's own opinion of what a world compiles to, without running it: `envoy --mode validate` on a static copy."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from e2e.support.envoy import EnvoyVersion
from xds_server.domain.addresses import Address
from xds_server.messages.codec import to_json
from xds_server.pipeline import Compilation
from xds_server.resources.bootstrap import ProxyNode, bootstrap
from xds_server.snapshot import Snapshot, TypeUrl

MANAGER = "envoy.filters.network.http_connection_manager"
Json = dict[str, Any]


def refused(version: EnvoyVersion, compilation: Compilation, directory: Path) -> str | None:
    """Why an Envoy refuses what one of the gateways would be told; None: it takes everything."""
    for parts in compilation.gateways.values():
        config = directory / f"static-{version}.json"
        config.write_text(json.dumps(static(parts.snapshot)))
        command: list[str | Path] = [version.binary(), "--mode", "validate", "-c", config, "-l", "error"]
        run = subprocess.run(command, check=False, capture_output=True, timeout=60)
        if run.returncode:
            return run.stderr.decode(errors="replace")
    return None


def static(snapshot: Snapshot) -> Json:
    """A bootstrap in which everything that would be sent is written out; clusters that routes name need not exist.

    Secrets too: an Envoy that only validates has no control plane, and dies of asking it for one.
    """
    document = bootstrap(replace(ProxyNode.of_gateway("edge", Address("127.0.0.1", 1)), id="edge-1"))
    told = {
        each: {name: to_json(each, resource.body) for name, resource in snapshot.of(each).items()} for each in TypeUrl
    }
    resources: Any = document["static_resources"]
    clusters = [_with_endpoints(each, told[TypeUrl.ENDPOINTS]) for each in told[TypeUrl.CLUSTER].values()]
    listeners = [_with_routes(each, told[TypeUrl.ROUTES]) for each in told[TypeUrl.LISTENER].values()]
    resources["clusters"] += _with_secrets(clusters, told[TypeUrl.SECRET])
    resources["listeners"] = _with_secrets(listeners, told[TypeUrl.SECRET])
    return document


def _with_secrets(said: Any, secrets: Json) -> Any:
    """Wherever they are named, however deep."""
    if isinstance(said, list):
        return [_with_secrets(each, secrets) for each in said]
    if not isinstance(said, dict):
        return said
    found = {name: _with_secrets(value, secrets) for name, value in said.items()}
    if named := found.pop("tls_certificate_sds_secret_configs", None):
        found["tls_certificates"] = [secrets[each["name"]]["tls_certificate"] for each in named]
    if both := found.pop("combined_validation_context", None):
        named = both["validation_context_sds_secret_config"]["name"]
        found["validation_context"] = both["default_validation_context"] | secrets[named]["validation_context"]
    return found


def _with_endpoints(cluster: Json, assignments: Json) -> Json:
    eds = cluster.pop("eds_cluster_config", None)
    if eds is not None:
        cluster |= {"type": "STATIC", "load_assignment": assignments[eds["service_name"]]}
    return cluster


def _with_routes(listener: Json, routes: Json) -> Json:
    for chain in listener.get("filter_chains", []):
        for each in chain["filters"]:
            rds = each["typed_config"].pop("rds", None) if each["name"] == MANAGER else None
            if rds is not None:
                each["typed_config"]["route_config"] = routes[rds["route_config_name"]] | {"validate_clusters": False}
    return listener
