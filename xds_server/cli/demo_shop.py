"""The shop of the demo: three instances that say who they are, and the records that deploy and release two versions."""

import json
from typing import Any

from xds_server.records.models import API_VERSION

INSTANCES = {"web": ("web-1", "web-2"), "reviews": ("reviews-1",)}
"""The builds of each component, oldest first. Both versions share the one build of reviews."""

Scope = dict[str, Any]


class Instance:
    """An ASGI application: answers with its build and the context that reached it."""

    def __init__(self, build: str) -> None:
        self._build = build

    async def __call__(self, scope: Scope, _receive: Any, send: Any) -> None:
        await self.answer(scope, send, 200)

    async def answer(self, scope: Scope, send: Any, status: int) -> None:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        said = {"build": self._build, "path": scope["path"], "x-deployment": headers.get("x-deployment", "")}
        body = json.dumps(said).encode() + b"\n"
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


def records(gateway_port: int, ports: dict[str, int]) -> dict[str, str]:
    """The demo's files by name. `ports`: where each build listens."""
    return {
        "gateway.yaml": GATEWAY.format(api=API_VERSION, port=gateway_port),
        "builds.yaml": "---\n".join(
            BUILD.format(api=API_VERSION, component=component, build=build, port=ports[build])
            for component, builds in INSTANCES.items()
            for build in builds
        ),
        "shop-v1.yaml": DEPLOYMENT.format(api=API_VERSION, version="v1", web="web-1"),
        "shop-v2.yaml": DEPLOYMENT.format(api=API_VERSION, version="v2", web="web-2"),
        "release.yaml": RELEASE.format(api=API_VERSION),
    }


GATEWAY = """\
apiVersion: {api}
kind: Gateway
metadata: {{name: edge}}
spec:
  listeners: [{{name: http, address: 127.0.0.1, port: {port}}}]
  explicit: {{host: "{{deployment}}.preview.localhost", header: x-explicit-deployment, query: explicit-deployment}}
  reveal: {{deployment: true, rule: true}}
"""

BUILD = """\
apiVersion: {api}
kind: Build
metadata: {{name: shop-{build}}}
spec:
  app: shop
  component: {component}
  build: "{build}"
  endpoints: {{addresses: ["127.0.0.1:{port}"]}}
"""

DEPLOYMENT = """\
apiVersion: {api}
kind: AppDeployment
metadata: {{name: shop-{version}}}
spec:
  app: shop
  version: "{version}"
  components:
    web: {{build: "{web}", routes: [{{pathPrefix: /}}]}}
    reviews: {{build: "reviews-1", routes: [{{pathPrefix: /reviews}}]}}
"""

RELEASE = """\
# Who gets which version of the shop. Edit, save, ask again.
apiVersion: {api}
kind: Release
metadata: {{name: shop}}
spec:
  app: shop
  gateways: [edge]
  hosts: [shop.localhost]
  default: [{{deployment: shop-v1, weight: 100}}, {{deployment: shop-v2, weight: 0}}]
  audiences:
    - {{name: acme, hosts: [acme.shop.localhost], deployment: shop-v2, why: "Acme's acceptance test"}}
    - name: early-adopters
      match: {{headers: [{{name: x-early-adopter, exact: "true"}}]}}
      deployment: shop-v2
"""
