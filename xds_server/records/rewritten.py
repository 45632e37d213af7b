"""A release that gives something else than its document says, as if it had been written so."""

import json
from collections.abc import Mapping
from typing import Any

from xds_server.domain.names import Ref
from xds_server.records.documents import Key, restored
from xds_server.records.models import Release
from xds_server.records.plain import CANONICAL
from xds_server.records.releases import Weights

NOBODY: Mapping[str, Ref] = {}


def with_default(
    key: Key, content: str, weights: Weights | None, audiences: Mapping[str, Ref] = NOBODY
) -> tuple[Release, str]:
    """A release, and its canonical form, that says these weights in place of its own (None: its own).

    `audiences`: by name those that get another deployment than it says.
    """
    said = json.loads(content)
    spec: dict[str, Any] = said["spec"]
    if weights is not None:
        spec["default"] = default_said(key.ref.namespace, weights)
    for audience in spec.get("audiences") or () if audiences else ():
        deployment = audiences.get(audience["name"])
        if deployment is not None:
            audience["deployment"] = _word(key.ref.namespace, deployment)
    text = CANONICAL(said)
    record = restored(key, text)
    assert isinstance(record, Release)
    return record, text


def default_said(namespace: str, weights: Weights) -> list[dict[str, Any]]:
    """As a release of this namespace would write it."""
    return [{"deployment": _word(namespace, ref), "weight": percent(weight)} for ref, weight in weights]


def percent(weight: int) -> float:
    """Whole where it is whole, as one would write it."""
    return weight // 100 if weight % 100 == 0 else weight / 100


def _word(namespace: str, deployment: Ref) -> str:
    return deployment.name if deployment.namespace == namespace else f"{deployment.namespace}.{deployment.name}"
