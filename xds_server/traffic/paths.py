"""A path as Envoy tries rules against it: one spelling for all that mean the same to an application.

As a gateway's connection manager has it done: dot segments resolved, slashes merged, what needs no percent-encoding
decoded, what needs it encoded. A path with an encoded slash is answered with a redirect to the decoded one, because
that changes what the path means, and the client should know.
"""

import re
from dataclasses import dataclass

ESCAPED_SLASH = re.compile("%(?:2[fF]|(5[cC]))")
DOTS = re.compile(r"(?:\.|%2[eE]){1,2}|\.{1,2};.*", re.DOTALL)
CHARACTER = re.compile("%(?P<hex>[0-9a-fA-F]{2})|.", re.DOTALL)
PLAIN = re.compile("[-.0-9A-Za-z_~]")
UNSAFE = frozenset('"<>^`{|}')
STRAY = "\0"
"""A `%` that escapes nothing. It is encoded if decoding what follows would make it an escape."""


@dataclass(frozen=True, slots=True)
class Normal:
    """A path with its query. `redirected`: it had encoded slashes, and the client is sent here."""

    path: str
    redirected: bool


def normal(path: str) -> Normal | None:
    """None: no application should see it, for it has an encoded NUL."""
    bare, question, query = path.partition("?")
    if "%00" in bare:
        return None
    unescaped = ESCAPED_SLASH.sub(lambda found: "\\" if found[1] else "/", bare)
    resolved = _resolved(unescaped.replace("\\", "/"))
    return Normal(_merged(resolved) + question + query, unescaped != bare)


def _resolved(path: str) -> str:
    kept: list[str] = []
    *parents, last = path[1:].split("/")
    for segment in parents:
        _step(kept, segment)
    tail = _step(kept, last)
    return "/" + "".join(f"{each}/" for each in kept[: len(kept) - tail]) + (kept[-1] if tail else "")


def _step(kept: list[str], segment: str) -> bool:
    """Whether the segment is one of the path's own."""
    dots = _dots(segment)
    if not dots:
        kept.append(_canonical(segment))
    elif dots == 2 and kept:
        kept.pop()
    return not dots


def _dots(segment: str) -> int:
    """1 and 2 are the segments that mean this one and its parent; also with parameters (`..;a=1`)."""
    if not DOTS.fullmatch(segment):
        return 0
    return len(re.sub("%2[eE]", ".", segment.partition(";")[0]))


def _canonical(segment: str) -> str:
    spelt = CHARACTER.sub(_spelt, segment)
    return re.sub(STRAY + "(?=[0-9a-fA-F]{2})", "%25", spelt).replace(STRAY, "%")


def _spelt(found: re.Match[str]) -> str:
    if found["hex"]:
        char = chr(int(found["hex"], 16))
        return char if PLAIN.fullmatch(char) else found[0]
    if found[0] == "%":
        return STRAY
    return f"%{ord(found[0]):02X}" if found[0] in UNSAFE else found[0]


def _merged(path: str) -> str:
    """Of nothing but slashes, two stay."""
    if "//" not in path:
        return path
    segments = "/".join(segment for segment in path.split("/") if segment)
    return "/" + segments + ("/" if path.endswith("/") else "")
