"""What happens to a listener, in words."""

from collections.abc import Iterator

from xds_server.difference.gateways import ListenerChange, Listening
from xds_server.domain.words import few


def listener_change(change: ListenerChange) -> Iterator[str]:
    before, after = change.before, change.after
    if before is not None and after is not None:
        yield from _changes(before, after)
    elif after is not None:
        yield "; ".join(_opens(after))
    elif before is not None:
        yield f"closes {before.place}"


def _opens(listener: Listening) -> Iterator[str]:
    if listener.closed:
        yield f"is to open {listener.place}, but is closed while its certificates are not in force"
    else:
        yield f"opens {listener.place}"
    if listener.certificates:
        yield f"shows {few(listener.certificates)}"
    if listener.http3 is not None:
        yield f"offers HTTP/3 on port {listener.http3}"
    if listener.redirect is not None:
        yield f"redirects every request to https on port {listener.redirect}"


def _changes(before: Listening, after: Listening) -> Iterator[str]:
    if before.name != after.name:
        yield f"is called so; before {before.name}"
    if before.place != after.place:
        yield f"moves from {before.place} to {after.place}"
    if before.redirect != after.redirect:
        yield _redirect(before.redirect, after.redirect)
    if before.certificates != after.certificates:
        yield _certificates(before.certificates, after.certificates)
    if before.http3 != after.http3:
        yield _http3(before.http3, after.http3)
    if before.closed != after.closed:
        why = "its certificates are not in force" if after.closed else "its certificates are in force now"
        yield f"{'closes' if after.closed else 'opens'}: {why}"


def _redirect(before: int | None, after: int | None) -> str:
    if before is None:
        return f"redirects every request to https on port {after}; before it served them"
    if after is None:
        return f"serves requests; before it redirected them to https on port {before}"
    return f"redirects to https on port {after}; before {before}"


def _certificates(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    if not before:
        return f"speaks TLS and shows {few(after)}; before plain text"
    if not after:
        return f"speaks plain text; before TLS with {few(before)}"
    return f"shows {few(after)}; before {few(before)}"


def _http3(before: int | None, after: int | None) -> str:
    if before is None:
        return f"offers HTTP/3 on port {after}"
    if after is None:
        return f"offers no HTTP/3 any more; before on port {before}"
    return f"offers HTTP/3 on port {after}; before {before}"
