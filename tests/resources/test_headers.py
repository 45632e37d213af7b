from xds_server.messages.codec import encode
from xds_server.messages.envoy import HeaderValue, HeaderValueOption
from xds_server.resources.headers import OVERWRITE, header


def test_a_header_replaces_what_came_and_its_value_is_no_format() -> None:
    expected = HeaderValueOption(header=HeaderValue(key="x", value="100 %% %%REQ(a)%%"), append_action=OVERWRITE)

    assert encode(header("x", "100 % %REQ(a)%")) == encode(expected)
