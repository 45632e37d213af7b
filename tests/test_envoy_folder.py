"""`envoy/` shows what Envoys are given, as it is generated; `--update-golden` writes it anew."""

import json
from dataclasses import replace
from pathlib import Path

from xds_server.domain.addresses import Address
from xds_server.records.models import API_VERSION, Gateway
from xds_server.resources.bootstrap import ProxyNode, bootstrap
from xds_server.resources.selectors import READS, STAMPS, lua_source

FOLDER = Path(__file__).parent.parent / "envoy"
XDS = Address("127.0.0.1", 18000)
GATEWAY = Gateway.model_validate(
    {
        "apiVersion": API_VERSION,
        "kind": "Gateway",
        "metadata": {"name": "edge"},
        "spec": {
            "listeners": [{"name": "http", "port": 10000}],
            "explicit": {"query": "explicit-deployment"},
            "reveal": {"deployment": True, "rule": True},
        },
    }
)


def test_the_folder_is_what_is_generated(update_golden: bool):
    gateway = replace(ProxyNode.of_gateway("edge", XDS), admin_port=9901)
    sidecar = ProxyNode.of_sidecar("shop/web", "9f1c2d7e", XDS)
    generated = {
        "gateway.delta.json": json.dumps(bootstrap(gateway), indent=2) + "\n",
        "gateway.sotw.json": json.dumps(bootstrap(replace(gateway, mode="sotw")), indent=2) + "\n",
        "sidecar.delta.json": json.dumps(bootstrap(sidecar), indent=2) + "\n",
        "gateway.lua": lua_source(GATEWAY),
        "sidecar.reads.lua": READS,
        "sidecar.stamps.lua": STAMPS,
    }
    if update_golden:
        for name, text in generated.items():
            (FOLDER / name).write_text(text, "utf-8")

    found = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir() if file.suffix != ".md"}
    assert found == generated, "run pytest --update-golden and read the diff"
