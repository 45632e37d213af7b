"""No record is accepted that Envoy then refuses: Envoy is asked of worlds that nobody wrote. `make fuzz` goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from e2e.support.envoy import EnvoyVersion
from e2e.support.validation import refused
from tests.fuzz.models import Said
from tests.fuzz.road import admitted
from tests.fuzz.worlds import text_of, worlds
from xds_server.pipeline import compile_world
from xds_server.snapshot import Delivery, Resource, TypeUrl

pytestmark = pytest.mark.e2e

SAMPLE = Path(__file__).parents[1] / "manifests" / "shop"


def test_envoy_takes_every_world_that_the_records_take(
    envoy_version: EnvoyVersion, tmp_path_factory: pytest.TempPathFactory
):
    directory = tmp_path_factory.mktemp("worlds")

    @settings(max_examples=20, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(worlds())
    def ask(world: list[Said]) -> None:
        assert refused(envoy_version, compile_world(admitted(text_of(world)).world), directory) is None

    ask()


def test_envoy_says_what_it_refuses(envoy_version: EnvoyVersion, tmp_path: Path):
    """Else the test above would prove nothing."""
    text = "---\n".join(file.read_text("utf-8") for file in sorted(SAMPLE.glob("*.yaml")))
    compilation = compile_world(admitted(text).world)
    assert refused(envoy_version, compilation, tmp_path) is None

    [(ref, parts)] = compilation.gateways.items()
    told = parts.snapshot.resources
    unnamed = told[TypeUrl.CLUSTER].set("unnamed", Resource("unnamed", "1", b""))
    snapshot = replace(parts.snapshot, resources={**told, TypeUrl.CLUSTER: unnamed})
    broken = replace(parts, snapshots={Delivery.FULL: snapshot})

    assert "value length must be at least 1" in str(
        refused(envoy_version, replace(compilation, gateways={ref: broken}), tmp_path)
    )
