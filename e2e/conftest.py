"""Every end-to-end test can run on both versions of Envoy and in both xDS modes.

Files run side by side, each whole in one process (`make e2e`); what is marked `alone` runs after them, two at a time.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import cache

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
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Mode, EnvoyVersion], World]]:
    """Each lives until the end: files take turns with modes and versions, and starting one anew costs seconds."""
    with ExitStack() as stack:

        @cache
        def started(mode: Mode, version: EnvoyVersion) -> World:
            return stack.enter_context(new_world(mode, version, tmp_path_factory.mktemp("world")))

        yield started


@pytest.fixture(scope="session")
def world(mode: Mode, envoy_version: EnvoyVersion, worlds: Callable[[Mode, EnvoyVersion], World]) -> World:
    """One for all scenarios of a mode and version that leave server and records as they found them."""
    return worlds(mode, envoy_version)


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


LONG = (
    *("test_bench", "test_telemetry", "test_upstreams", "test_fleet_order", "test_guide", "test_retries"),
    *("test_restart", "test_explain", "test_ledger", "test_rollouts", "test_on_demand", "test_demo_canary"),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take a minute begin first: else all would wait for one of them in the end."""
    items.sort(key=lambda item: (item.path.stem not in LONG, item.path.stem in LONG and LONG.index(item.path.stem)))


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
