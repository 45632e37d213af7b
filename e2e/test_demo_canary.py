"""`xds-server demo --canary` tells its story, and ends by itself."""

import re
import subprocess

import pytest

from e2e.support.server import BIN

pytestmark = pytest.mark.e2e


def test_what_is_well_is_promoted_and_what_fails_is_rolled_back() -> None:
    run = [str(BIN / "xds-server"), "demo", "--canary", "--port", "0"]
    said = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True, timeout=240).stdout
    ends = [said.index(each) for each in ("finished: ", "rolled back: ", "rolled back, and pinned")]
    assert ends == sorted(ends), said
    assert re.search(r"^0 of [0-9,]+ requests were lost", said, re.MULTILINE), said
    assert said.endswith("ended; nothing is left behind\n")
