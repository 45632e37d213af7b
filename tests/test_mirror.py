"""Everyone knows where a module is, and where its test is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ABOUT_THE_WHOLE = {
    "test_fuzz.py",
    "test_mirror.py",
    "test_layers.py",
    "test_envoy_folder.py",
    "test_delivery_page.py",
    "test_documents.py",
    "test_pages.py",
    "test_promises.py",
    "test_sidecar_page.py",
}


def test_every_test_file_mirrors_a_module_or_a_package():
    orphans = []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        place = file.relative_to(ROOT / "tests")
        if place.name in ABOUT_THE_WHOLE:
            continue
        module = ROOT / "xds_server" / place.parent / place.name.removeprefix("test_")
        if not (module.exists() or (module.parent / module.stem).is_dir()):
            orphans.append(place.as_posix())
    assert not orphans


@pytest.mark.parametrize("package", ["runtime", "cli"])
def test_the_map_of_a_large_package_names_every_module(package: str):
    folder = ROOT / "xds_server" / package
    named = re.findall(r"\w+", (folder / "__init__.py").read_text("utf-8"))
    assert not {each.stem for each in folder.glob("*.py")} - {*named, "__init__"}
