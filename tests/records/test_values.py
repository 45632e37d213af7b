import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from xds_server.records import values

ACCEPTED = [
    pytest.param(values.Label, "a", "a", id="one-letter"),
    pytest.param(values.Label, "9-a", "9-a", id="digits-and-a-dash"),
    pytest.param(values.Label, "a" * 63, "a" * 63, id="63-letters"),
    pytest.param(values.Word, "prod.shop-v2", "prod.shop-v2", id="a-word-with-a-namespace"),
    pytest.param(values.Quoted, "sha256:0A_b.c+d-e", "sha256:0A_b.c+d-e", id="a-hash"),
    pytest.param(values.Quoted, "1.10", "1.10", id="a-version"),
    pytest.param(values.HeaderName, "X-Early", "x-early", id="header-names-are-lower-case"),
    pytest.param(values.Duration, "500ms", timedelta(milliseconds=500), id="milliseconds"),
    pytest.param(values.Duration, "1h30m", timedelta(minutes=90), id="two-units"),
    pytest.param(values.Duration, "1.5s", timedelta(seconds=1.5), id="a-part-of-a-second"),
    pytest.param(values.Duration, "0s", timedelta(0), id="no-time"),
    pytest.param(values.Duration, "3650d", timedelta(days=3650), id="ten-years"),
    pytest.param(values.Weight, 100, 10_000, id="all"),
    pytest.param(values.Weight, 0, 0, id="nothing"),
    pytest.param(values.Weight, 0.01, 1, id="the-least-weight"),
    pytest.param(values.Weight, 33.33, 3333, id="a-third"),
    pytest.param(values.Weight, 1e1, 1000, id="ten"),
    pytest.param(values.Host, "*.example.com", "*.example.com", id="a-wildcard"),
    pytest.param(values.Host, "localhost", "localhost", id="one-label"),
    pytest.param(values.Host, f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}", ..., id="253-letters"),
    pytest.param(values.HostTemplate, "{deployment}.p.example.com", ..., id="a-template"),
    pytest.param(values.SocketAddress, "10.0.0.4:08080", "10.0.0.4:8080", id="one-spelling-of-a-port"),
    pytest.param(values.SocketAddress, "[0:0::1]:80", "[::1]:80", id="one-spelling-of-an-ipv6-address"),
    pytest.param(values.DnsAddress, "web.internal:8080", ..., id="a-name-with-a-port"),
    pytest.param(values.Ip, "0:0::0", "::", id="one-spelling-of-an-ip"),
    pytest.param(values.Instant, "2027-01-31", datetime(2027, 1, 31, 23, 59, 59, 999999, UTC), id="the-end-of-a-day"),
    pytest.param(values.Instant, "2027-01-31T10:00:00Z", datetime(2027, 1, 31, 10, tzinfo=UTC), id="zulu"),
    pytest.param(
        values.Instant, "2027-01-31T10:00:00.5+02:00", datetime(2027, 1, 31, 8, 0, 0, 500000, UTC), id="a-zone"
    ),
    pytest.param(values.Path, "/a/b;c=%20", ..., id="a-path"),
    pytest.param(values.PathPrefix, "/api/", "/api", id="a-prefix-without-its-slash"),
    pytest.param(values.PathPrefix, "//", "/", id="only-slashes"),
    pytest.param(values.Parameter, "explicit-deployment", ..., id="a-parameter"),
    pytest.param(values.Whole, 2**32 - 1, ..., id="envoy's-largest-number"),
    pytest.param(values.Number, 2, 2.0, id="a-number"),
]

REFUSED = [
    *(
        pytest.param(values.Label, text, "string_pattern_mismatch", id=f"a-label-{name}")
        for name, text in {
            "of-nothing": "",
            "with-a-capital": "Shop",
            "with-a-dot": "a.b",
            "with-a-dash-first": "-a",
            "with-a-dash-last": "a-",
            "with-an-underscore": "a_b",
            "with-a-line-end": "a\n",
            "of-64-letters": "a" * 64,
            "beyond-ascii": "é",
        }.items()
    ),
    *(
        pytest.param(values.Quoted, value, "string_type", id=f"a-version-that-is-{name}")
        for name, value in {"a-float": 1.1, "a-number": 5, "true": True}.items()
    ),
    pytest.param(values.Quoted, "a b", "string_pattern_mismatch", id="a-hash-with-a-space"),
    pytest.param(values.Quoted, "a" * 129, "string_pattern_mismatch", id="a-hash-of-129"),
    pytest.param(values.Quoted, None, "string_type", id="no-hash"),
    pytest.param(values.Word, "a.b.c", "string_pattern_mismatch", id="two-namespaces"),
    pytest.param(values.Token, "a b", "string_pattern_mismatch", id="a-token-with-a-space"),
    *(
        pytest.param(values.Duration, value, "value_error", id=f"a-duration-that-is-{name}")
        for name, value in {
            "a-number": 30,
            "empty": "",
            "without-unit": "30",
            "of-no-unit": "3w",
            "negative": "-1s",
            "with-a-space": "1h 30m",
            "too-long": "3651d",
            "beyond-python": "9" * 12 + "d",
            "beyond-any-number": "9" * 400 + "d",
            "in-other-digits": "\u0663s",
        }.items()
    ),
    pytest.param(values.Interval, "0s", "value_error", id="an-interval-of-nothing"),
    *(
        pytest.param(values.Weight, value, "value_error", id=f"a-weight-that-is-{name}")
        for name, value in {
            "too-much": 100.01,
            "negative": -0.01,
            "too-fine": 0.001,
            "text": "95",
            "endless": float("inf"),
            "no-number": float("nan"),
            "beyond-decimal": "1e999999999",
            "true": True,
            "a-list": [1],
            "nothing": None,
        }.items()
    ),
    *(
        pytest.param(values.Host, text, "value_error", id=f"a-host-{name}")
        for name, text in {
            "with-a-port": "a.example.com:80",
            "with-a-capital": "A.example.com",
            "of-everything": "*",
            "with-an-inner-wildcard": "a.*.com",
            "with-half-a-wildcard": "*a.com",
            "ending-in-a-dot": "a.com.",
            "of-254": f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}",
            "of-nothing": "",
            "beyond-ascii": "ä.example.com",
            "of-ipv6": "[::1]",
        }.items()
    ),
    *(
        pytest.param(values.HostTemplate, text, "value_error", id=f"a-template-{text}")
        for text in (
            "preview.example.com",
            "{deployment}",
            "{deployment}.",
            "{deployment}.*.com",
            "{deployment}.{app}.com",
        )
    ),
    *(
        pytest.param(values.SocketAddress, text, "value_error", id=f"an-address-{text}")
        for text in (
            "10.0.0.4",
            "10.0.0.4:",
            "10.0.0.4:0",
            "10.0.0.4:65536",
            "10.0.0.4:+80",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[10.0.0.4]:80",
            "a:80",
            "fe80::1%eth0:80",
            "[fe80::1%eth0]:80",
            "010.0.0.4:80",
            "10.0.0.4:\u0663",
            ":80",
            "",
        )
    ),
    pytest.param(values.SocketAddress, f"10.0.0.4:{'1' * 5000}", "value_error", id="a-port-of-5000-digits"),
    *(
        pytest.param(values.DnsAddress, text, "value_error", id=f"a-name-{text}")
        for text in ("web", "web:0", "*.a:80", ":80")
    ),
    *(
        pytest.param(values.Ip, text, "value_error", id=f"an-ip-{text}")
        for text in ("localhost", "10.0.0", "fe80::1%eth0", "")
    ),
    *(
        pytest.param(values.Instant, value, "value_error", id=f"an-instant-{value}")
        for value in (
            "tomorrow",
            "2027-02-30",
            "2027-01-31T10:00:00",
            "2027-01-31T25:00:00Z",
            "",
            5,
            None,
            "\u0662027-01-31",
        )
    ),
    *(
        pytest.param(values.Path, text, "string_pattern_mismatch", id=f"a-path-{name}")
        for name, text in {
            "of-nothing": "",
            "relative": "a",
            "with-a-query": "/a?b",
            "with-a-fragment": "/#",
            "with-a-space": "/a b",
            "with-a-nul": "/\0",
        }.items()
    ),
    pytest.param(values.Regex, "", "string_too_short", id="a-regex-of-nothing"),
    pytest.param(values.Regex, "a(?=b)", "value_error", id="a-regex-that-re2-does-not-read"),
    pytest.param(values.Parameter, "a%b", "string_pattern_mismatch", id="a-parameter-that-envoy-would-format"),
    pytest.param(values.Parameter, "a" * 257, "string_pattern_mismatch", id="a-parameter-of-257"),
    *(pytest.param(values.Flag, value, "bool_type", id=f"a-flag-{value}") for value in ("yes", "on", 1, None)),
    *(pytest.param(values.Whole, value, "int_type", id=f"a-whole-number-{value}") for value in ("1", True, 1.0)),
    pytest.param(values.Whole, 2**32, "value_error", id="more-than-envoy-can-be-told"),
    pytest.param(values.Whole, -1, "value_error", id="less-than-envoy-can-be-told"),
    pytest.param(values.Number, float("nan"), "finite_number", id="not-a-number"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), ACCEPTED)
def test_what_is_accepted(kind: Any, value: object, expected: object) -> None:
    assert TypeAdapter(kind).validate_python(value) == (value if expected is ... else expected)


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_what_is_refused(kind: Any, value: object, reason: str) -> None:
    with pytest.raises(ValidationError) as failed:
        TypeAdapter(kind).validate_python(value)

    assert [error["type"] for error in failed.value.errors()] == [reason]


EVERY: list[Any] = [*ACCEPTED, *REFUSED]
KINDS: dict[Any, TypeAdapter[Any]] = {each.values[0]: TypeAdapter(each.values[0]) for each in EVERY}


@given(
    st.sampled_from(list(KINDS.values())),
    st.text()
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.lists(st.text())
    | st.dictionaries(st.text(), st.text()),
)
def test_any_value_is_accepted_or_refused(kind: TypeAdapter[Any], value: object) -> None:
    try:
        accepted = kind.validate_python(value)
    except ValidationError:
        return
    assert accepted is not None


@given(st.integers(0, 10_000))
def test_every_step_of_a_weight_is_exact(hundredths: int) -> None:
    assert TypeAdapter(values.Weight).validate_python(hundredths / 100) == hundredths


OCTET = st.one_of(st.integers(0, 300).map(str), st.just("01"), st.just(""))


@given(st.lists(OCTET, min_size=3, max_size=5).map(".".join), st.integers(0, 70_000), st.sampled_from(["", "0"]))
def test_an_address_is_in_its_one_spelling_or_refused(host: str, port: int, zero: str) -> None:
    address: TypeAdapter[str] = TypeAdapter(values.SocketAddress)
    try:
        expected = f"{ipaddress.ip_address(host)}:{port}" if 1 <= port <= 65535 else None
    except ValueError:
        expected = None

    if expected is None:
        with pytest.raises(ValidationError):
            address.validate_python(f"{host}:{zero}{port}")
    else:
        assert address.validate_python(f"{host}:{zero}{port}") == expected
