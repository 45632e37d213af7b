"""Whole worlds: records of every kind that name each other, so that what each says reaches Envoy."""

import json
import re
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.models import Said, accepts, documents_of, mended
from tests.fuzz.road import CERTIFICATE, KEY
from xds_server.records.matches import RouteRule
from xds_server.records.models import (
    API_VERSION,
    App,
    AppDeployment,
    Build,
    BuildSpec,
    Gateway,
    Hash,
    Record,
    Release,
    Retries,
    TrafficPolicy,
)
from xds_server.records.policies import HASHING

APPS = ("shop", "prod.shop", "a" * 63)
GATEWAY = "edge"
WHOLE = 10_000
ALL = 12
"""Optional fields of a model: at least as many as any has here."""
PAIR = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")


@st.composite
def worlds(draw: st.DrawFn) -> list[Said]:
    """A gateway and one app, whose namespace and name are drawn too."""
    place, _, app = draw(st.sampled_from(APPS)).rpartition(".")
    namespace = place or "default"
    deployments = draw(st.lists(documents_of(AppDeployment), min_size=1, max_size=2))
    for index, each in enumerate(deployments):
        _settle(each, f"v{index}", namespace, {"app": app})
        _link(each["spec"]["components"])
        for component in each["spec"]["components"].values():
            component["policy"] = draw(_policies())
    names = [each["metadata"]["name"] for each in deployments]
    release = draw(documents_of(Release))
    _settle(release, "release", namespace, {"app": app, "gateways": [f"default.{GATEWAY}"]})
    _share(draw, release["spec"], names)
    gateway = draw(documents_of(Gateway))
    _settle(gateway, GATEWAY, "default", {})
    for secret in gateway["spec"].get("secrets", {}):
        gateway["spec"]["secrets"][secret] = {"certificate": CERTIFICATE, "privateKey": KEY}
    builds = sorted(_builds(deployments))
    placed = [_placed(draw(documents_of(BuildSpec, ALL)), app, *each) for each in builds]
    placed = [document(Build, f"b{index}", namespace, each) for index, each in enumerate(placed)]
    settings = draw(documents_of(App))
    _settle(settings, app, namespace, {})
    return [gateway, *placed, *deployments, release, settings]


@st.composite
def _policies(draw: st.DrawFn) -> Said:
    """A policy that says much: by itself a component seldom has one, and never two fields that need each other."""
    policy = draw(documents_of(TrafficPolicy, ALL))
    if draw(st.booleans()):
        policy = _with(policy, retries=draw(documents_of(Retries, ALL)))
    if draw(st.booleans()):
        by = draw(documents_of(Hash, 1))
        policy = _with(policy, loadBalancer=draw(st.sampled_from(sorted(HASHING))), hash=by)
    return policy


def _with(policy: Said, **more: Any) -> Said:
    """As it was where that would be refused."""
    whole = mended(TrafficPolicy, {**policy, **more}, [name for name in policy if name not in more])
    return whole if accepts(TrafficPolicy)(whole) else policy


def _settle(document: Said, name: str, namespace: str, spec: Said) -> None:
    """Who it is, and whom it names; labels and the like stay as they were drawn."""
    document["metadata"] = {**document["metadata"], "name": name, "namespace": namespace}
    document["spec"] = {**document["spec"], **spec}


def _link(components: Said) -> None:
    """Components call each other, no two rules are the same, and there is at least one."""
    seen: set[RouteRule] = set()
    for component in components.values():
        if component.get("calls"):
            component["calls"] = [name for name in component["calls"] if name in components]
        rules = {RouteRule.model_validate(each): each for each in component.get("routes", ())}
        component["routes"] = [each for rule, each in rules.items() if rule not in seen]
        seen.update(rules)
    if not seen:
        first = next(iter(components.values()))
        first["routes"] = [{"pathPrefix": "/"}]


def _builds(deployments: Iterable[Said]) -> set[tuple[str, str]]:
    return {(name, each["build"]) for found in deployments for name, each in found["spec"]["components"].items()}


def _placed(said: Said, app: str, component: str, build: str) -> Said:
    """With an endpoint, without which nothing can be released, and with certificates that are there."""
    endpoints = said["endpoints"]
    addresses = endpoints.get("addresses")
    if addresses is not None:
        here = {"address": "127.0.0.1:9"}
        endpoints = {**endpoints, "addresses": [here, *(each for each in addresses if _at(each) != _at(here))]}
    named = {"ca": CERTIFICATE, "certificate": CERTIFICATE, "privateKey": KEY}
    tls = {name: named.get(name, value) for name, value in (said.get("tls") or {}).items()}
    secure = {"tls": tls} if tls else {}
    return {**said, **secure, "app": app, "component": component, "build": build, "endpoints": endpoints}


def _at(endpoint: Any) -> str:
    return str(endpoint["address"] if isinstance(endpoint, dict) else endpoint)


def _share(draw: st.DrawFn, spec: Said, names: list[str]) -> None:
    """Every deployment that is named is one of these; weights make a whole."""
    for each in spec.get("audiences", ()):
        each["deployment"] = draw(st.sampled_from(names))
    if (spec.get("rollout") or {}).get("deployment"):
        spec["rollout"]["deployment"] = names[-1]
    if not spec.get("default"):
        return
    first = draw(st.integers(0, WHOLE)) if len(names) > 1 else WHOLE
    weights = [first, WHOLE - first]
    spec["default"] = [{"deployment": n, "weight": w / 100} for n, w in zip(names, weights, strict=False)]


def document(kind: type[Record], name: str, namespace: str, spec: Said) -> Said:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": kind.__name__, "metadata": metadata, "spec": spec}


def text_of(world: Iterable[Said]) -> str:
    """As one file; JSON is YAML, but for halves of characters, which it writes as a whole."""
    return "---\n".join(PAIR.sub(_whole, json.dumps(each)) + "\n" for each in world)


def _whole(pair: re.Match[str]) -> str:
    character: str = json.loads(f'"{pair[0]}"')
    return f"\\U{ord(character):08x}"
