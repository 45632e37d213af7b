from typing import Any

from xds_server.records.models import Release
from xds_server.rollout import Plan, plan_of


def release(default: dict[str, float] | None = None, steps: list[Any] | None = None, **spec: Any) -> Release:
    shares = {"shop-v1": 100, "shop-v2": 0} if default is None else default
    said = {
        "app": "shop",
        "gateways": ["edge"],
        "hosts": ["shop.example.com"],
        "default": [{"deployment": name, "weight": weight} for name, weight in shares.items()],
        "rollout": {"steps": steps or [{"to": 5, "for": "20m"}, {"to": 25, "for": "1h"}, {"to": 100}]},
    }
    head = {"apiVersion": "xds-server.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"}}
    return Release.model_validate({**head, "spec": {**said, **spec}})


def planned(default: dict[str, float] | None = None, steps: list[Any] | None = None, **spec: Any) -> Plan:
    found = plan_of(release(default, steps, **spec))
    assert found is not None
    return found
