"""Every end-to-end test can run on both versions of Envoy and in both xDS modes.

Of the four pairs, two are tried each time, so that both versions and both modes are: delta with the current version,
and SotW with the oldest. The others are tried too with `XDS_MINORS=all` (`make e2e-all`).
"""

import os
from collections.abc import Generator, Iterator

import pytest

from e2e.support.applications import Applications
from e2e.support.envoy import EnvoyVersion
from e2e.support.server import Mode
from e2e.support.world import World
from e2e.support.world import world as new_world


@pytest.fixture(scope="session", params=["CURRENT", "FLOOR"], ids=str.lower)
def envoy_version(request: pytest.FixtureRequest) -> EnvoyVersion:
    return EnvoyVersion[request.param]


@pytest.fixture(scope="session", params=list(Mode))
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


@pytest.fixture(scope="session")
def world(mode: Mode, envoy_version: EnvoyVersion, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all scenarios of a mode and version that leave server and records as they found them."""
    with new_world(mode, envoy_version, tmp_path_factory.mktemp("world")) as ready:
        yield ready


@pytest.fixture(scope="module")
def own_world(mode: Mode, envoy_version: EnvoyVersion, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for the scenarios of a module that break things and mend them."""
    with new_world(mode, envoy_version, tmp_path_factory.mktemp("own-world")) as ready:
        yield ready


@pytest.fixture(
    scope="module",
    params=[(Mode.DELTA, EnvoyVersion.CURRENT), (Mode.SOTW, EnvoyVersion.FLOOR)],
    ids=["current", "floor"],
)
def pair(request: pytest.FixtureRequest) -> tuple[Mode, EnvoyVersion]:
    """A mode and a version, each of both once: for what does not depend on how they are paired."""
    mode, version = request.param
    return Mode(mode), EnvoyVersion(version)


@pytest.fixture(scope="module")
def pair_world(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for the scenarios of a module that are about what Envoy does with what it was told: each version once."""
    mode, version = pair
    with new_world(mode, version, tmp_path_factory.mktemp("pair-world")) as ready:
        yield ready


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("XDS_MINORS") == "all":
        return
    left = [item for item in items if _pair_of(item) in {(Mode.SOTW, "CURRENT"), (Mode.DELTA, "FLOOR")}]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


def _pair_of(item: pytest.Item) -> tuple[object, object]:
    said = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return said.get("mode"), said.get("envoy_version")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is shown with the last words of everything that took part in it."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        worlds = (value for value in item.funcargs.values() if isinstance(value, World))
        report.sections.extend(words for each in worlds for words in each.last_words())
    return report


@pytest.fixture(scope="module")
def applications() -> Iterator[Applications]:
    with Applications() as running:
        yield running
