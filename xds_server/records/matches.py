"""What a request must look like: matches on headers, query and cookies, and the route rules of a component."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from xds_server.records.values import Flag, HeaderName, Model, Path, PathPrefix, Regex, Text, Token


def exactly_one(model: Model, *names: str) -> None:
    said = [name for name in names if getattr(model, name) is not None]
    if len(said) != 1:
        raise ValueError(
            f"must have exactly one of {', '.join(names)}" + (f", not {' and '.join(said)}" if said else "")
        )


class HeaderMatch(Model):
    """A condition on a request header. A header on several lines is one value, joined by commas."""

    name: HeaderName
    exact: Text | None = None
    prefix: Text | None = Field(default=None, min_length=1)
    suffix: Text | None = Field(default=None, min_length=1)
    contains: Text | None = Field(default=None, min_length=1)
    regex: Regex | None = None
    present: Flag | None = None
    invert: Flag = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, "exact", "prefix", "suffix", "contains", "regex", "present")
        return self


class QueryMatch(Model):
    """A condition on a query parameter of a route rule; its first value counts."""

    name: Text = Field(min_length=1, max_length=256)
    exact: Text | None = None
    prefix: Text | None = Field(default=None, min_length=1)
    regex: Regex | None = None
    present: Flag | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, "exact", "prefix", "regex", "present")
        return self


class AudienceQueryMatch(Model):
    """A condition on a query parameter, for an audience. Percent-encoded forms match too; any value may match."""

    name: Text = Field(min_length=1, max_length=256)
    exact: Text | None = None
    prefix: Text | None = Field(default=None, min_length=1)
    present: Flag | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, "exact", "prefix", "present")
        return self


class CookieMatch(Model):
    """A condition on a cookie, for an audience."""

    name: Token
    exact: Text | None = None
    prefix: Text | None = Field(default=None, min_length=1)
    present: Flag | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, "exact", "prefix", "present")
        return self


class AudienceMatch(Model):
    """All conditions must hold."""

    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[AudienceQueryMatch, ...] = ()
    cookies: tuple[CookieMatch, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.headers or self.query or self.cookies):
            raise ValueError("must have at least one of headers, query, cookies")
        return self


class Method(StrEnum):
    """An HTTP method that a route rule may name."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"
    TRACE = "TRACE"


class RouteRule(Model):
    """What of an app's traffic goes to a component. No path at all means every path.

    The rules of one deployment are tried in this order, wherever they are written: an exact path, then a regex
    (the longer pattern first), then a prefix (the longer first); then rules with methods, then more headers,
    then more query conditions; then by component name and place in the list.
    """

    path: Path | None = None
    path_prefix: PathPrefix | None = Field(default=None, alias="pathPrefix")
    path_regex: Regex | None = Field(default=None, alias="pathRegex")
    methods: tuple[Method, ...] = ()
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        said = [p for p in (self.path, self.path_prefix, self.path_regex) if p is not None]
        if len(said) > 1:
            raise ValueError("must have at most one of path, pathPrefix, pathRegex")
        return self
