"""What every test of the shell may use: a state directory, and a server in which a rollout begins."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.rolling import Server, began
from xds_server.state.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """v1 is released, and a rollout of v2 has just been written."""
    with Store.open(tmp_path) as store:
        yield began(store)
