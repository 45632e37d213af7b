"""What every test of the shell may use: a state directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from xds_server.state.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as opened:
        yield opened
