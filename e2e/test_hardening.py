"""What strangers may send to a gateway, byte by byte: nothing ambiguous reaches the application, and nobody is starved.

`docs/hardening.md` has a row for each of these.
"""

from collections.abc import Iterator

import pytest

from e2e.support.edge import HOST, Edge, request, running_edge
from e2e.support.envoy import EnvoyVersion
from e2e.support.server import Mode

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def edge(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    mode, version = pair
    with running_edge(mode, version, tmp_path_factory.mktemp("edge")) as ready:
        yield ready


def post(*lines: bytes, body: bytes = b"abcde") -> bytes:
    return request(b"POST / HTTP/1.1", *lines, body=body)


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


END = b"0\r\n\r\n"
REFUSED = {
    "a-length-and-chunks": (400, post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=END + b"G")),
    "chunks-and-a-length": (400, post(b"Transfer-Encoding: chunked", b"Content-Length: 6", body=END + b"G")),
    "two-lengths": (400, post(b"Content-Length: 5", b"Content-Length: 6")),
    "one-length-twice": (400, post(b"Content-Length: 5", b"Content-Length: 5")),
    "a-list-of-lengths": (400, post(b"Content-Length: 5, 5")),
    "a-length-with-a-sign": (400, post(b"Content-Length: +5")),
    "a-negative-length": (400, post(b"Content-Length: -1")),
    "a-length-in-hex": (400, post(b"Content-Length: 0x5")),
    "a-length-of-two-words": (400, post(b"Content-Length: 5 5")),
    "a-length-beyond-64-bits": (400, post(b"Content-Length: 99999999999999999999")),
    "an-unknown-coding": (501, post(b"Transfer-Encoding: xchunked", body=END)),
    "chunked-is-not-last": (501, post(b"Transfer-Encoding: chunked, identity", body=END)),
    "two-codings": (501, post(b"Transfer-Encoding: gzip, chunked", body=END)),
    "identity": (501, post(b"Transfer-Encoding: identity", body=END)),
    "chunked-twice": (501, post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=END)),
    "a-coding-in-quotes": (501, post(b'Transfer-Encoding: "chunked"', body=END)),
    "a-coding-after-a-vertical-tab": (400, post(b"Transfer-Encoding: \x0bchunked", body=END)),
    "a-space-before-the-colon": (400, post(b"Transfer-Encoding : chunked", body=END)),
    "a-chunk-size-with-a-prefix": (400, chunked(b"0x5\r\nabcde\r\n" + END)),
    "a-chunk-size-with-a-sign": (400, chunked(b"+5\r\nabcde\r\n" + END)),
    "a-chunk-size-beyond-64-bits": (400, chunked(b"FFFFFFFFFFFFFFFFF\r\nabcde\r\n" + END)),
    "a-chunk-size-before-a-bare-line-feed": (400, chunked(b"5\nabcde\r\n" + END)),
    "a-chunk-extension-with-a-line-feed": (400, chunked(b"5;\nabcde\r\n" + END)),
    "a-chunk-longer-than-it-says": (400, chunked(b"5\r\nabcdeXX" + END)),
    "a-nul-in-a-value": (400, request(b"GET / HTTP/1.1", b"x-a: b\x00c")),
    "a-nul-in-a-name": (400, request(b"GET / HTTP/1.1", b"x\x00a: c")),
    "a-control-character": (400, request(b"GET / HTTP/1.1", b"x-a: \x01")),
    "a-name-that-is-no-token": (400, request(b"GET / HTTP/1.1", b"x(a): b")),
    "a-name-with-an-underscore": (400, request(b"GET / HTTP/1.1", b"x_deployment: hard-v2")),
    "a-header-without-a-name": (400, request(b"GET / HTTP/1.1", b": b")),
    "a-header-without-a-colon": (400, request(b"GET / HTTP/1.1", b"xab")),
    "a-first-header-that-is-folded": (400, request(b"GET / HTTP/1.1\r\n x-a: b")),
    "no-host": (400, request(host=b"")),
    "two-hosts": (404, request(b"GET / HTTP/1.1", b"Host: other.example.com")),
    "one-host-twice": (404, request(b"GET / HTTP/1.1", b"Host: " + HOST)),
    "a-host-with-a-space": (400, request(host=b"a b")),
    "a-host-with-a-user": (404, request(host=b"other.example.com@" + HOST)),
    "a-host-with-a-path": (400, request(host=HOST + b"/x")),
    "a-url-of-another-host": (404, request(b"GET http://other.example.com/ HTTP/1.1")),
    "a-url-of-another-scheme": (403, request(b"GET https://" + HOST + b"/ HTTP/1.1")),
    "a-tunnel": (404, request(b"CONNECT " + HOST + b":80 HTTP/1.1")),
    "an-upgrade-that-no-rule-allows": (403, request(b"GET / HTTP/1.1", b"Upgrade: foo", b"Connection: upgrade")),
    "http-1.0": (426, request(b"GET / HTTP/1.0")),
    "http-1.0-with-chunks": (426, request(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked", body=END)),
    "http-0.9": (426, b"GET /\r\n\r\n"),
    "http-1.2": (426, request(b"GET / HTTP/1.2")),
    "http-01.1": (400, request(b"GET / HTTP/01.1")),
    "a-method-that-nobody-knows": (400, request(b"FOO / HTTP/1.1")),
    "a-method-in-lower-case": (400, request(b"get / HTTP/1.1")),
    "tls-where-none-is-spoken": (400, b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 50),
    "a-fragment": (400, request(b"GET /a#b HTTP/1.1")),
    "a-path-beyond-ascii": (400, request(b"GET /\xc3\xa9 HTTP/1.1")),
    "a-control-character-in-the-path": (400, request(b"GET /\x01 HTTP/1.1")),
    "an-encoded-nul-in-the-path": (400, request(b"GET /%00 HTTP/1.1")),
    "an-encoded-slash": (307, request(b"GET /..%2f..%2fetc HTTP/1.1")),
    "101-headers": (431, request(b"GET / HTTP/1.1", *[b"x-%d: 1" % n for n in range(99)])),
    "60-kib-of-headers": (431, request(b"GET / HTTP/1.1", b"x-a: " + b"a" * 62_000)),
    "60-kib-of-path": (431, request(b"GET /" + b"a" * 62_000 + b" HTTP/1.1")),
}


@pytest.mark.parametrize(("status", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_or_malformed_never_reaches_the_application(edge: Edge, status: int, said: bytes) -> None:
    assert edge.send(said) == (status, [])


TAKEN = {
    "a-bare-line-feed": b"GET / HTTP/1.1\nHost: " + HOST + b"\nx-a: b\nConnection: close\n\n",
    "a-folded-line": request(b"GET / HTTP/1.1", b"x-a:\r\n b"),
    "space-around-a-value": request(b"GET / HTTP/1.1", b"x-a:\t b \t"),
    "empty-lines-before-a-request": b"\r\n\r\n" + request(b"GET / HTTP/1.1", b"x-a: b"),
    "tabs-in-the-request-line": request(b"GET\t/\tHTTP/1.1", b"x-a: b"),
    "a-url-of-this-host": request(b"GET http://" + HOST + b"/ HTTP/1.1", b"x-a: b", host=b"other.example.com"),
    "a-host-in-capitals": request(b"GET / HTTP/1.1", b"x-a: b", host=HOST.upper()),
}


@pytest.mark.parametrize("said", TAKEN.values(), ids=TAKEN)
def test_what_is_read_leniently_arrives_in_the_one_form_that_everybody_reads(edge: Edge, said: bytes) -> None:
    got = edge.passes(said)

    assert (got.line, got.all("x-a")) == ("GET / HTTP/1.1", ["b"])
    assert [host.lower() for host in got.all("host")] == [HOST.decode()]
    assert got.head.count(b"\n") == got.head.count(b"\r") == got.head.count(b"\r\n")


@pytest.mark.parametrize("said", [b"b\rx-c: d", b"b\r\rTransfer-Encoding: chunked"])
def test_a_bare_carriage_return_begins_no_header(edge: Edge, said: bytes) -> None:
    got = edge.passes(request(b"GET / HTTP/1.1", b"x-a: " + said))

    assert got.all("x-a") == [said.replace(b"\r", b"").decode()]


def test_chunks_arrive_without_extensions_and_trailers(edge: Edge) -> None:
    trailers = b"x-deployment: hard-v2\r\nContent-Length: 3\r\n\r\n"
    got = edge.passes(chunked(b"5;" + b"a" * 10_000 + b"=b\r\nabcde\r\n0\r\n" + trailers))

    assert (got.body, got.all("x-deployment"), got.all("content-length")) == (b"abcde", ["hard-v1"], [])


def test_a_request_within_a_body_stays_a_body(edge: Edge) -> None:
    inner = b"GET /admin HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"
    got = edge.passes(request(b"GET / HTTP/1.1", b"Content-Length: %d" % len(inner), body=inner))

    assert (got.line, got.body) == ("GET / HTTP/1.1", inner)


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/a/../../etc/passwd", "/etc/passwd"),
        ("/a/%2e%2e/%2E./etc/passwd", "/etc/passwd"),
        ("/a\\..\\etc", "/etc"),
        ("//////a//b", "/a/b"),
        ("/a/%252e%252e/etc", "/a/%252e%252e/etc"),
        ("/%c0%ae%c0%ae/etc", "/%c0%ae%c0%ae/etc"),
        ("/%0d%0ax-a:b", "/%0d%0ax-a:b"),
        ("/%zz", "/%zz"),
    ],
)
def test_a_path_is_resolved_once_and_never_decoded_twice(edge: Edge, path: str, arrives: str) -> None:
    assert edge.passes(request(f"GET {path} HTTP/1.1".encode())).line == f"GET {arrives} HTTP/1.1"


FORGED = [
    *(b"X-Deployment: hard-v2", b"x-deployment: z", b"X-DEPLOYMENT: q"),
    *(b"baggage: xds.deployment=q,a=b", b"Baggage: c=d, xds%2Edeployment = z;p=q"),
    *(b"X-Request-Id: 00000000-0000-0000-0000-000000000000", b"x-forwarded-for: 203.0.113.7"),
    *(b"x-forwarded-proto: https", b"x-envoy-original-path: /z", b"x-envoy-internal: true"),
    *(b"x-envoy-external-address: 203.0.113.7", b"x-envoy-decorator-operation: z", b"x-envoy-max-retries: 9"),
]


def test_nobody_forges_a_context_an_address_or_a_word_to_envoy(edge: Edge) -> None:
    got = edge.passes(request(b"GET / HTTP/1.1", *FORGED))

    assert got.all("x-deployment") == ["hard-v1"]
    assert got.all("baggage") == ["xds.deployment=hard-v1,a=b,c=d"]
    assert got.all("x-forwarded-proto") == ["http"]
    assert not got.all("x-request-id")[0].startswith("00000000-0000-0000")
    assert len(got.all("x-request-id")) == 1
    assert got.all("x-forwarded-for")[0].startswith("203.0.113.7,")
    assert got.all("x-envoy-external-address") == ["127.0.0.1"]
    for name in ("x-envoy-original-path", "x-envoy-internal", "x-envoy-decorator-operation", "x-envoy-max-retries"):
        assert got.all(name) == []


def test_a_client_cannot_have_our_headers_taken_off_as_its_own(edge: Edge) -> None:
    said = request().replace(b"Connection: close", b"Connection: close, x-deployment, baggage, x-request-id")
    got = edge.passes(said)

    assert got.all("x-deployment") == ["hard-v1"]
    assert got.all("baggage") == ["xds.deployment=hard-v1"]
    assert len(got.all("x-request-id")) == 1
