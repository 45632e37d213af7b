"""What Envoy 1.40 answered to each of these (`normalize_path`, `merge_slashes`, `UNESCAPE_AND_REDIRECT`)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.traffic.paths import Normal, normal


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/..", "/"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/../../b", "/b"),
        ("/a/...", "/a/..."),
        ("/%2e%2e/x", "/x"),
        ("/a/.%2E/b", "/b"),
        ("/a/..;x/b", "/b"),
        ("/a/.;x", "/a/"),
        ("/a/..;x=1", "/"),
        ("/a/%2e%2e;/b", "/a/..;/b"),
        ("/a/x..;/b", "/a/x..;/b"),
        ("/a/..x;/b", "/a/..x;/b"),
        ("/a\\b", "/a/b"),
        ("//", "//"),
        ("//a", "/a"),
        ("/a//b///c//", "/a/b/c/"),
        ("/a/..//b", "/b"),
        ("/a//../b", "/a/b"),
        ('/a"<>^`{|}z', "/a%22%3C%3E%5E%60%7B%7C%7Dz"),
        ("/%41%7e%2d%5F%31", "/A~-_1"),
        ("/%20%c3%A9%2b", "/%20%c3%A9%2b"),
        ("/a%252fb", "/a%252fb"),
        ("/a%25%32%66b", "/a%252fb"),
        ("/a%zz", "/a%zz"),
        ("/a%", "/a%"),
        ("/%%41", "/%A"),
        ("/%4%31", "/%2541"),
        ("/%%30%30", "/%2500"),
        ("/%%34z", "/%4z"),
        ("/%%341", "/%2541"),
        ("/?a=//&b=%2f/../x\\", "/?a=//&b=%2f/../x\\"),
        ("/a?", "/a?"),
    ],
)
def test_a_path_has_one_spelling(path: str, expected: str) -> None:
    assert normal(path) == Normal(expected, redirected=False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a%2Fb?x=%2f", "/a/b?x=%2f"),
        ("/a%5cb", "/a/b"),
        ("/a/%2e%2e%2fb", "/b"),
        ("/a%2f", "/a/"),
        ("//%2f", "//"),
        ("/..%2f", "/"),
        ("/a/..;%2f/b", "/b"),
    ],
)
def test_an_encoded_slash_leads_to_a_redirect(path: str, expected: str) -> None:
    assert normal(path) == Normal(expected, redirected=True)


def test_an_encoded_nul_is_no_path() -> None:
    assert normal("/a%00b") is None
    assert normal("/?%00") == Normal("/?%00", redirected=False)


@given(st.text("/.%2eE5cfab;?\\", max_size=20))
def test_what_is_normal_stays(text: str) -> None:
    """But for a semicolon, which makes dots a segment of another kind once they are decoded."""
    first = normal("/" + text.replace(";", ""))

    assert first is not None
    assert normal(first.path) == Normal(first.path, redirected=False)
