import pytest

from xds_server.traffic.requests import NoRequest, Request, decoded, host_of, parameters, read_request, seen


@pytest.mark.parametrize(
    ("url", "scheme", "authority", "path", "port"),
    [
        ("http://a.test", "http", "a.test", "/", 80),
        ("HTTPS://A.test:8443/x//y?b=%20#top", "https", "A.test:8443", "/x//y?b=%20", 8443),
        ("https://a.test?b=1", "https", "a.test", "/?b=1", 443),
        ("http://user:word@a.test/", "http", "a.test", "/", 80),
        ("http://[::1]:8080/", "http", "[::1]:8080", "/", 8080),
        ("http://[::1]/", "http", "[::1]", "/", 80),
    ],
)
def test_a_url_is_read_as_it_is_written(url: str, scheme: str, authority: str, path: str, port: int) -> None:
    request = read_request("GET", url, ())

    assert (request.scheme, request.authority, request.path, request.port) == (scheme, authority, path, port)


@pytest.mark.parametrize(
    ("method", "url", "lines", "said"),
    [
        ("GET", "a.test/", [], "not an absolute URL"),
        ("GET", "ftp://a.test/", [], "not an absolute URL"),
        ("GET", "http:///x", [], "not an absolute URL"),
        ("GET", "http://a.test/x y", [], "percent-encoded"),
        ("GET", "http://a.test/é", [], "percent-encoded"),
        ("G T", "http://a.test/", [], "is not a method"),
        ("CONNECT", "http://a.test/", [], "is not a method"),
        ("GET", "http://a.test/", ["x-a"], "is not a header"),
        ("GET", "http://a.test/", ["x a: 1"], "is not a header"),
        ("GET", "http://a.test/", ["host: a", "Host: b"], "one host"),
    ],
)
def test_what_is_no_request_is_said_so(method: str, url: str, lines: list[str], said: str) -> None:
    with pytest.raises(NoRequest, match=said):
        read_request(method, url, lines)


@pytest.mark.parametrize("request_id", ["", "12", "not hex", "FF00"])
def test_a_request_id_begins_with_a_slot(request_id: str) -> None:
    with pytest.raises(NoRequest, match="is no request id: its first 4 characters are the slot"):
        read_request("GET", "http://a.test/", (), request_id)


def test_a_host_line_stands_in_place_of_the_urls_host() -> None:
    request = read_request("GET", "http://127.0.0.1:10000/", ["Host: shop.test"])

    assert (request.authority, request.headers) == ("shop.test", ())


def test_lines_of_one_name_are_one_value_and_white_space_around_it_is_none() -> None:
    request = read_request("GET", "http://a.test/", ["X-A:  1 ", "x-b:", "x-A: 2", "connection: close"])
    found = seen(request)

    assert (found.header("x-a"), found.header("x-b"), found.header("x-c")) == ("1,2", "", None)
    assert "connection" not in found.lines


def test_what_envoy_itself_says_stands_in_place_of_what_came() -> None:
    request = read_request("GET", "http://a.test/", ["x-request-id: mine"], request_id="0001")

    assert seen(request).lines == {"host": ("a.test",), "x-forwarded-proto": ("http",), "x-request-id": ("0001",)}


@pytest.mark.parametrize(
    ("authority", "host"),
    [("A.test", "a.test"), ("a.test:8080", "a.test"), ("a.test:", "a.test"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")],
)
def test_neither_case_nor_port_of_a_host_matter(authority: str, host: str) -> None:
    assert host_of(authority) == host


def test_the_parameters_of_a_query_are_as_they_were_sent() -> None:
    path = "/x?a=1&b&=&a=2=3&%61=4"

    assert parameters(path) == [("a", "1"), ("b", ""), ("", ""), ("a", "2=3"), ("%61", "4")]
    assert parameters("/x?") == parameters("/x") == []
    assert seen(Request("GET", "http", "a.test", path)).first_parameter("a") == "1"


def test_decoding_keeps_what_is_no_escape() -> None:
    assert decoded("a%20b+c%zz%4") == "a b+c%zz%4"
    assert decoded("%C3%A9") == "é"
