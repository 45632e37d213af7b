import pytest

from xds_server.messages.fields import message_field, text_field, text_in

LONG = "l" * 200 + "/web"


@pytest.mark.parametrize(
    ("said", "asked", "found"),
    [
        pytest.param("v2/web", "v2/web", True, id="this"),
        pytest.param(LONG, LONG, True, id="a-length-of-two-bytes"),
        pytest.param("/v2/web", "v2/web", False, id="longer-in-front"),
        pytest.param("v2/web2", "v2/web", False, id="longer-behind"),
        pytest.param("v1/web", "v2/web", False, id="another"),
    ],
)
def test_a_text_is_found_whole(said: str, asked: str, *, found: bool) -> None:
    body = text_field(1, "first") + message_field(2, text_field(3, said))
    assert text_in(body, asked) == found
