"""Every benchmark runs, and says what it found."""

import json
import subprocess
from pathlib import Path

import pytest

from e2e.support.processes import ROOT

pytestmark = pytest.mark.e2e


def test_every_benchmark_works(tmp_path: Path):
    file = tmp_path / "figures.json"

    subprocess.run(["make", "bench-quick", f"JSON={file}"], cwd=ROOT, check=True, timeout=600)

    found = json.loads(file.read_text())
    proxies = {"canary", "clusters", "fanout", "flip", "flood", "sidecars", "telemetry"}
    assert found.keys() == {"encode", "compile", "cold", "judge"} | proxies
    measured = {what: figure["value"] for figures in found.values() for what, figure in figures.items()}
    differences = ("two sidecars add", "growth", "in use when nobody waits")
    below = {what for what, value in measured.items() if value < 0}
    assert {what for what in below if not any(each in what for each in differences)} == set()
