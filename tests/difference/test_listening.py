from dataclasses import replace

import pytest

from xds_server.difference.gateways import ListenerChange, Listening
from xds_server.difference.listening import listener_change

HTTP = Listening("http", "127.0.0.1", 8080)
REDIRECTS = replace(HTTP, redirect=8443)
HTTPS = Listening("https", "127.0.0.1", 8443, certificates=("edge-cert",))
HTTP3 = replace(HTTPS, http3=443)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, HTTP, ["opens 127.0.0.1:8080"]),
        (None, REDIRECTS, ["opens 127.0.0.1:8080; redirects every request to https on port 8443"]),
        (None, HTTP3, ["opens 127.0.0.1:8443; shows edge-cert; offers HTTP/3 on port 443"]),
        (
            None,
            replace(HTTPS, closed=True),
            ["is to open 127.0.0.1:8443, but is closed while its certificates are not in force; shows edge-cert"],
        ),
        (HTTP, None, ["closes 127.0.0.1:8080"]),
        (HTTP, replace(HTTP, name="web"), ["is called so; before http"]),
        (HTTP, replace(HTTP, port=80), ["moves from 127.0.0.1:8080 to 127.0.0.1:80"]),
        (HTTP, REDIRECTS, ["redirects every request to https on port 8443; before it served them"]),
        (REDIRECTS, HTTP, ["serves requests; before it redirected them to https on port 8443"]),
        (REDIRECTS, replace(HTTP, redirect=443), ["redirects to https on port 443; before 8443"]),
        (HTTP, replace(HTTP, certificates=("a", "b")), ["speaks TLS and shows a, b; before plain text"]),
        (HTTPS, replace(HTTPS, certificates=()), ["speaks plain text; before TLS with edge-cert"]),
        (HTTPS, replace(HTTPS, certificates=("new",)), ["shows new; before edge-cert"]),
        (HTTPS, HTTP3, ["offers HTTP/3 on port 443"]),
        (HTTP3, HTTPS, ["offers no HTTP/3 any more; before on port 443"]),
        (HTTP3, replace(HTTP3, http3=8443), ["offers HTTP/3 on port 8443; before 443"]),
        (HTTPS, replace(HTTPS, closed=True), ["closes: its certificates are not in force"]),
        (replace(HTTPS, closed=True), HTTPS, ["opens: its certificates are in force now"]),
        (
            HTTP,
            replace(REDIRECTS, port=80),
            [
                "moves from 127.0.0.1:8080 to 127.0.0.1:80",
                "redirects every request to https on port 8443; before it served them",
            ],
        ),
    ],
)
def test_what_happens_to_a_listener(before: Listening | None, after: Listening | None, said: list[str]) -> None:
    assert list(listener_change(ListenerChange(before, after))) == said
