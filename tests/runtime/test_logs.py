import io
import json
from collections.abc import Iterator

import pytest
import structlog
from typing_extensions import override

from xds_server.runtime import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


class Terminal(io.StringIO):
    """Somebody reads along."""

    @override
    def isatty(self) -> bool:
        return True


def logged(style: str, stream: io.StringIO) -> str:
    logs.configure(style, stream)
    log = structlog.get_logger()
    log.debug("unheard")
    log.info("world changed", apps=["shop"])
    return stream.getvalue()


@pytest.mark.parametrize(("style", "stream"), [("json", Terminal()), ("auto", io.StringIO())])
def test_json_is_one_object_a_line(style: str, stream: io.StringIO) -> None:
    [line] = logged(style, stream).splitlines()

    said = json.loads(line)
    assert {"event": "world changed", "apps": ["shop"], "level": "info"}.items() <= said.items()
    assert said["timestamp"].endswith("Z")


@pytest.mark.parametrize(("style", "stream"), [("text", io.StringIO()), ("auto", Terminal())])
def test_text_is_for_people(style: str, stream: io.StringIO) -> None:
    [line] = logged(style, stream).splitlines()

    assert "world changed" in line
    assert "unheard" not in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)
