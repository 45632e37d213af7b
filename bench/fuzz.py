"""Records that nobody wrote, for as long as is asked: does anything raise, and does Envoy refuse what was accepted?
And conversations that nobody had: is a law of the protocol broken?

Three campaigns at once. Texts: atheris mutates files by the code that they reach (`tests/fuzz/texts.py`). Worlds:
hypothesis draws records of every kind from the models (`tests/fuzz/worlds.py`), and both Envoys are asked of what they
compile to. Laws: each `test_laws` of the protocol, with one seed after another. The first find of each ends it, is made
small, and is printed.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from e2e.support.envoy import EnvoyVersion
from e2e.support.validation import refused
from tests.fuzz.models import Said
from tests.fuzz.road import admitted, travelled
from tests.fuzz.worlds import text_of, worlds

ROUND = 100
"""Worlds that are drawn with one seed: hypothesis slows down as it remembers more."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:
        laws = beside.submit(_laws, asked.seconds, asked.seed)
        texts = _texts(Path(folder), asked.seconds, asked.seed)
        try:
            _worlds(Path(folder), asked.seconds, asked.seed)
            output, _ = texts.communicate(timeout=asked.seconds + 60)
        finally:
            texts.kill()
            texts.wait()
        broken = laws.result()
    print(output[-6000:] if texts.returncode else output.rstrip().rpartition("\n")[2].replace("runs", "texts"))
    print(broken[-6000:])
    sys.exit(texts.returncode or bool(broken))


def _texts(folder: Path, seconds: int, number: int) -> "subprocess.Popen[str]":
    options = [f"-max_total_time={seconds}", f"-seed={number}"]
    command: list[str | Path] = [sys.executable, "-m", "tests.fuzz.texts", folder / "texts", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=Path.cwd()
    )


def _laws(seconds: int, number: int) -> str:
    """What broke a law; empty: nothing did."""
    end, first = time.monotonic() + seconds, number
    chosen = {name: value for name, value in os.environ.items() if name != "CI"}  # it would be the same seed each time
    command = [sys.executable, "-m", "pytest", "-q", "tests/protocol", "-k", "test_laws"]
    while (left := end - time.monotonic()) > 0:
        seeded = chosen | {"PYTHONHASHSEED": str(number)}  # it orders sets
        try:
            run = subprocess.run(
                [*command, f"--hypothesis-seed={number}"],
                check=False,
                capture_output=True,
                text=True,
                env=seeded,
                timeout=left,
            )
        except subprocess.TimeoutExpired:
            break
        if run.returncode:
            return f"{run.stdout}\nPYTHONHASHSEED={number} --hypothesis-seed={number}"
        number += 1
    print(f"{number - first} seeds, and no law broken")
    return ""


def _worlds(folder: Path, seconds: int, number: int) -> None:
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds

    def ask(world: list[Said]) -> None:
        if time.monotonic() > end:
            return
        admission = admitted(text_of(world))
        compilation = travelled(admission)
        done.update(worlds=1, records=len(world), accepted=len(admission.in_force))
        for version in EnvoyVersion:
            why = refused(version, compilation, folder)
            assert why is None, f"{version}: {why}"

    bounds = settings(max_examples=ROUND, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    while time.monotonic() < end:
        seed(number)(bounds(given(worlds())(ask)))()
        number += 1
    print(", ".join(f"{count} {what}" for what, count in done.items()), "and no refusal by either Envoy")


if __name__ == "__main__":
    main()
