"""Values for the fields of records: mostly what the field takes, at its edges, and some of what nobody expects."""

from collections.abc import Mapping
from typing import Any, get_args

from hypothesis import strategies as st

from xds_server.records import values

Drawn = st.SearchStrategy[Any]

ODD = (
    *("", " ", "%", "%%", "%41", "%zz", "%REQ(x-y)%", "%DOWNSTREAM_REMOTE_ADDRESS%", "%START_TIME(%s)%", "{{query}}"),
    *('"', "'", "\\", "\\x00", "a\r\nx-injected: 1", "\n", "\t", "\x00", "\x01", "\x7f", "\x85", "\u2028", "\ufeff"),
    *("é", "ß", "€", "😀", "\u0130", "a" * 300, "x" * 20_000, "]]", "--", "]=]", "[red]", "[/]", "~", "null", "on"),
    *("a,b", "a;b", "a=b", "a b", "*", ".", "..", "/", "//", "?", "#", "&", "a|b", "(", "[", "$", "^", "\\Q", "\\C"),
)
REGEXES = (
    *("/", "/api/.*", "/v[0-9]+/(?:a|b)", "(?i)chrome|firefox", "", "a{1000}", "(?:a{30}){30}", "[[:alpha:]]+"),
    *(
        r"\pL+",
        r"\x{10FFFF}",
        r"\C*",
        "(?P<a>x)",
        "(" * 40 + ")" * 40,
        "a" * 1000,
        "[^\\x00]",
        ".*" * 200,
        "\x00",
        "é+",
    ),
    *(
        "(?s).*",
        "$^",
        "a||b",
        "(|a)*",
        "((a{0,1000}){0,1000})",
        "[\\d-x]",
        r"\b",
        r"\Qa.b\E",
        "(a",
        "(?=b)",
        "a**",
        "%s",
    ),
    *(".{0,1000}.{0,1000}", "(?:.{1,500}){2}", r"(?:\pL{1,100}){1,9}", "[^a]{500}x[^b]{499}"),
)
PATHS = (
    *("/", "/a", "/a/", "//", "/a//b", "/a/../b", "/%2e%2e/", "/%41", "/%zz", "/é", "/a;b=c", "/" + "x" * 5000, "/*"),
    *("/:a", "/a|b", "/{x}", "/\x00", "/a b", "/a?b", "/a#b", "", "a", "/..", "/.", "/\\", "/a%2Fb", '/"', "/[", "/😀"),
    *("///", "/a///", "/%", "/~", "/\x85", "/\xa0", "/\u2028"),
)
HEADERS = (
    *("x-a", "X-Mixed", "host", ":path", ":method", ":authority", "content-length", "x", "a" * 300, "a b", "é", ""),
    *("te", "connection", "transfer-encoding", "cookie", "x-envoy-max-retries", "x-forwarded-for", "!#$%&'*+.^_`|~"),
    *("x_y", "x%y", "x{y}", "x\ny", "-", "x-deployment", "baggage", "x-request-id", "x-v"),
)
HOSTS = (
    *("a.test", "*.a.test", "*.test", "localhost", "a", "*", "*.*.test", "a_b.test", "A.test", "a.test.", "xn--e1a4c"),
    *("é.test", "1.2.3.4", "a.test:80", "", ".a", "a..b", "-a.test", ".".join(["a" * 60] * 4), "b.a.test", "[::1]"),
    *("v1.preview.test", "x.preview.test", "*.preview.test", "a" * 63 + ".test", "a" * 64 + ".test", "0.0.0.0"),
)
DURATIONS = (
    *("0s", "1ms", "0.1ms", "0.0000001s", "500ms", "1s", "15s", "1h30m", "365d", "3650d", "3651d", "0.000000001ms"),
    *("-1s", "1", "1 s", "", "0d", "1s1s", "999999999999s", "30m", "1.5s", "0.001s", "0.0005s", "1m0.5ms"),
)
ADDRESSES = (
    *("127.0.0.1:1", "10.0.0.1:8080", "[::1]:80", "[fe80::1%eth0]:1", "0.0.0.0:1", "[::]:1", "[::ffff:1.2.3.4]:1"),
    *("255.255.255.255:65535", "1.2.3.4:0", "1.2.3.4:65536", "::1:80", "1.2.3.4", "a:80", "[::1]", "224.0.0.1:1"),
)
NAMES = ("web.internal:80", "a:1", "localhost:65535", "a.b:0", "A:1", "é:1", "a_b:1", "x:", ":1", "a" * 64 + ":1")
UPGRADES = ("websocket", "WebSocket", "connect-udp", "h2c", "connect", "CONNECT", "a b", "", "é", "a" * 300)
IPS = ("0.0.0.0", "127.0.0.1", "::", "::1", "::ffff:1.2.3.4", "1.2.3", "fe80::1%1", "255.255.255.255", "224.0.0.1", "")
LABELS = ("web", "cart", "a", "0", "a" * 63, "a" * 64, "a-b", "-a", "a.b", "A", "a_b", "", "xn--a", "default", "é")
HASHES = ("b1", "1.10", "v2", "sha256:abc", "a" * 128, "a" * 129, "a+b", "a@b", "a/b", "", "é", "_", "a.", "A:B")
INSTANTS = (
    *("2027-01-31", "2026-11-24T00:00:00Z", "2026-11-24T00:00:00+01:00", "2020-01-01", "0001-01-01", "9999-12-31"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2027-02-30", "now", "2026-11-24", "2026-W01-1T00Z"),
)
WEIGHTS = (0, 100, 50, 0.01, 99.99, 33.33, 0.001, -1, 101, 1e-300, 1e300, float("nan"), float("inf"), 2**70)


def mostly(known: tuple[Any, ...], *others: Drawn) -> Drawn:
    return st.one_of(st.sampled_from(known), *others)


TEXT: Drawn = mostly(
    ODD,
    st.text(max_size=12),
    st.text(st.characters(max_codepoint=0x7F), max_size=12),
    st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True),
)
REGEX: Drawn = mostly(REGEXES, st.text(r"ab.*+?()[]{}|\^$01,:Pp-dwsC/", max_size=12))
INTEGER: Drawn = mostly((0, 1, 2, 3, 100, 128, 1000, 65535, 2**31, 2**32 - 1, 2**32, -1), st.integers(0, 200))
NUMBER: Drawn = mostly((0.0, 1.0, 1.5, 0.1, 1e300, -1.0), st.floats(0, 1000))
DURATION: Drawn = mostly(DURATIONS, st.integers(0, 10**6).map(lambda ms: f"{ms}ms"))

KNOWN: tuple[tuple[Any, Drawn], ...] = (
    (values.Text, TEXT),
    (values.Label, mostly(LABELS)),
    (values.Word, mostly((*LABELS, "prod.web", "a.b.c"))),
    (values.Quoted, mostly(HASHES)),
    (values.Token, mostly(HEADERS)),
    (values.HeaderName, mostly(HEADERS)),
    (values.Parameter, mostly(("v", "explicit-deployment", "a.b_c~d-e", "a" * 256, "a b", "%41", ""))),
    (values.Flag, st.booleans()),
    (values.Whole, INTEGER),
    (values.Number, NUMBER),
    (values.Duration, DURATION),
    (values.Interval, DURATION),
    (values.Weight, mostly(WEIGHTS)),
    (values.Host, mostly(HOSTS)),
    (values.HostTemplate, mostly(tuple("{deployment}." + host for host in HOSTS) + HOSTS)),
    (values.SocketAddress, mostly(ADDRESSES)),
    (values.DnsAddress, mostly(NAMES)),
    (values.HostName, mostly(HOSTS)),
    (values.HostPort, mostly(NAMES + ADDRESSES)),
    (values.Upgrade, mostly(UPGRADES)),
    (values.Ip, mostly(IPS)),
    (values.Instant, mostly(INSTANTS)),
    (values.Regex, REGEX),
    (values.Path, mostly(PATHS)),
    (values.PathPrefix, mostly(PATHS)),
)
PLAIN: Mapping[Any, Drawn] = {str: TEXT, int: INTEGER, float: NUMBER, bool: st.booleans(), type(None): st.none()}


def known(annotation: Any) -> Drawn | None:
    """What is known of an annotation: an alias of `values`, however much more has been said of it since."""
    base, *said = get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
    found = [
        (len(facts), drawn)
        for alias, drawn in KNOWN
        for aliased, *facts in [get_args(alias)]
        if aliased == base and said[: len(facts)] == facts
    ]
    return max(found, key=lambda each: each[0])[1] if found else None


JUNK: Drawn = st.recursive(
    st.one_of(TEXT, INTEGER, NUMBER, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
"""Anything that YAML can say, for any field at all."""
