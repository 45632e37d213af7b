"""What every test may use: golden files and the hypothesis profiles."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "random")


class Golden:
    """A folder of expected files. With `--update-golden` it becomes what the test saw; stale files fail the test."""

    def __init__(self, folder: Path, *, update: bool) -> None:
        self.folder = folder
        self.update = update
        self.seen: set[str] = set()

    def check(self, name: str, text: str) -> None:
        self.seen.add(name)
        file = self.folder / name
        if self.update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        assert file.exists(), f"{file} does not exist: run pytest --update-golden and read the diff"
        assert text == file.read_text("utf-8"), f"{file} differs: run pytest --update-golden and read the diff"

    def finish(self) -> None:
        stale = [file for file in self.folder.rglob("*") if file.is_file() and self._name(file) not in self.seen]
        if self.update:
            for file in stale:
                file.unlink()
        else:
            assert not stale, f"nothing wrote {[self._name(file) for file in stale]}: run pytest --update-golden"

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew and remove stale ones")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def golden(request: pytest.FixtureRequest, update_golden: bool) -> Iterator[Golden]:
    """The test's own golden folder: `golden/<test file>/<test name>/` beside it."""
    name = request.node.name.replace("[", ".").replace("]", "")
    folder = request.path.parent / "golden" / request.path.stem.removeprefix("test_") / name
    checked = Golden(folder, update=update_golden)
    yield checked
    checked.finish()
