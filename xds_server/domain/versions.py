"""Versions of Envoy, as far as they decide what a proxy understands: its API grows with each minor version."""

Minor = tuple[int, int]

OLDEST: Minor = (1, 36)
"""The oldest that is supported: what is made from records uses nothing that it does not know."""


def minor(version: str) -> Minor:
    """`1.40.0` is (1, 40). A proxy that does not say, or is no Envoy, is taken for the oldest."""
    major, _, rest = version.partition(".")
    digits = rest.partition(".")[0]
    return (int(major), int(digits)) if major.isdecimal() and digits.isdecimal() else OLDEST


def written(version: Minor) -> str:
    return f"{version[0]}.{version[1]}"
