import sys
from pathlib import Path

import pytest

from xds_server.cli.envoys import NoEnvoy, find_envoy


def test_the_one_that_is_asked_for_is_found(tmp_path: Path) -> None:
    (tmp_path / "envoy").write_text("")
    (tmp_path / "envoy").chmod(0o755)

    assert find_envoy(str(tmp_path / "envoy")) == str(tmp_path / "envoy")


def test_else_it_is_the_one_beside_this_program() -> None:
    assert find_envoy("") == str(Path(sys.executable).parent / "envoy")


@pytest.mark.parametrize(
    ("envoy", "said"),
    [
        ("/nope/envoy", "the file /nope/envoy does not exist"),
        (__file__, "is no program that can be run"),
        ("no-such-envoy", "there is no no-such-envoy on PATH"),
    ],
)
def test_what_cannot_be_run_is_said(envoy: str, said: str) -> None:
    with pytest.raises(NoEnvoy, match=said):
        find_envoy(envoy)
