from typing import Any

import pytest

from xds_server.records.models import API_VERSION, Gateway
from xds_server.traffic.style import INTERNAL_SELECTOR, Style, style_of


@pytest.mark.parametrize(
    ("explicit", "expected"),
    [
        pytest.param(None, Style("", "", False, False), id="no-selector"),
        pytest.param({"header": "X-V"}, Style("x-v", "", True, False), id="a-header"),
        pytest.param({"query": "v"}, Style(INTERNAL_SELECTOR, "", True, False), id="a-query"),
        pytest.param({"header": "x-v", "query": "v"}, Style("x-v", "", True, False), id="both"),
        pytest.param({"host": "{deployment}.p.test"}, Style("", ".p.test", True, False), id="a-host"),
        pytest.param({"header": "x-v", "access": "denied"}, Style("x-v", "", False, True), id="denied"),
    ],
)
def test_style_of(explicit: Any, expected: Style) -> None:
    spec = {"listeners": [{"name": "http", "port": 80}], "explicit": explicit}
    said = {"apiVersion": API_VERSION, "kind": "Gateway", "metadata": {"name": "edge"}, "spec": spec}

    assert style_of(Gateway.model_validate(said)) == expected
