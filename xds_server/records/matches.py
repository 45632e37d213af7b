"""What a request must look like: matches on headers, query and cookies, and the route rules of a component."""

from enum import StrEnum
from itertools import combinations
from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from xds_server.records.values import (
    Flag,
    HeaderName,
    Model,
    OneOf,
    Path,
    PathPrefix,
    Regex,
    Text,
    Token,
    any_of,
    means,
)

PATHS = ("path", "pathPrefix", "pathRegex")

NonEmpty = Annotated[Text, Field(min_length=1)]
ParameterName = Annotated[Text, Field(min_length=1, max_length=256)]


class HeaderMatch(OneOf):
    """A condition on a request header. A header on several lines is one value, joined by commas."""

    ways: ClassVar = ("exact", "prefix", "suffix", "contains", "regex", "present")

    name: Annotated[HeaderName, means("Which header; case does not matter.", "x-early-adopter", "HeaderMatcher.name")]
    exact: Annotated[Text | None, means("The whole value.", "true", "StringMatcher.exact")] = None
    prefix: Annotated[NonEmpty | None, means("How the value begins.", "beta-", "StringMatcher.prefix")] = None
    suffix: Annotated[NonEmpty | None, means("How the value ends.", "@example.com", "StringMatcher.suffix")] = None
    contains: Annotated[NonEmpty | None, means("A part of the value.", "Mobile", "StringMatcher.contains")] = None
    regex: Annotated[Regex | None, means("An expression for the whole value.", "v[12]", "StringMatcher.safe_regex")] = (
        None
    )
    present: Annotated[
        Flag | None,
        means("Whether the header is there at all, with any value.", True, "HeaderMatcher.present_match"),
    ] = None
    invert: Annotated[
        Flag, means("Turn the condition round; without the header it then holds.", True, "HeaderMatcher.invert_match")
    ] = False


class QueryMatch(OneOf):
    """A condition on a query parameter of a route rule; its first value counts."""

    ways: ClassVar = ("exact", "prefix", "regex", "present")

    name: Annotated[ParameterName, means("Which parameter.", "beta", "QueryParameterMatcher.name")]
    exact: Annotated[Text | None, means("The whole value.", "1", "StringMatcher.exact")] = None
    prefix: Annotated[NonEmpty | None, means("How the value begins.", "v2", "StringMatcher.prefix")] = None
    regex: Annotated[
        Regex | None, means("An expression for the whole value.", "[0-9]+", "StringMatcher.safe_regex")
    ] = None
    present: Annotated[
        Flag | None, means("Whether the parameter is there at all.", True, "QueryParameterMatcher.present_match")
    ] = None


class AudienceQueryMatch(OneOf):
    """A condition on a query parameter, for an audience. Percent-encoded forms match too; any value may match."""

    ways: ClassVar = ("exact", "prefix", "present")

    name: Annotated[ParameterName, means("Which parameter.", "beta", "RegexMatcher.regex")]
    exact: Annotated[Text | None, means("The whole value, as it is meant.", "a b", "RegexMatcher.regex")] = None
    prefix: Annotated[NonEmpty | None, means("How the value begins, as it is meant.", "v2", "RegexMatcher.regex")] = (
        None
    )
    present: Annotated[Flag | None, means("Whether the parameter is there at all.", True, "RegexMatcher.regex")] = None


class CookieMatch(OneOf):
    """A condition on a cookie, for an audience."""

    ways: ClassVar = ("exact", "prefix", "present")

    name: Annotated[Token, means("Which cookie.", "plan", "RegexMatcher.regex")]
    exact: Annotated[Text | None, means("The whole value.", "gold", "RegexMatcher.regex")] = None
    prefix: Annotated[NonEmpty | None, means("How the value begins.", "gold-", "RegexMatcher.regex")] = None
    present: Annotated[Flag | None, means("Whether the cookie is there at all.", True, "RegexMatcher.regex")] = None


class AudienceMatch(Model):
    """All conditions must hold."""

    model_config = ConfigDict(json_schema_extra=any_of("headers", "query", "cookies"))

    headers: Annotated[
        tuple[HeaderMatch, ...],
        means(
            "Conditions on headers.",
            [{"name": "x-early-adopter", "exact": "true"}],
            "HttpRequestHeaderMatchInput.header_name",
        ),
    ] = ()
    query: Annotated[
        tuple[AudienceQueryMatch, ...],
        means(
            "Conditions on query parameters.",
            [{"name": "beta", "exact": "1"}],
            "HttpRequestHeaderMatchInput.header_name",
        ),
    ] = ()
    cookies: Annotated[
        tuple[CookieMatch, ...],
        means("Conditions on cookies.", [{"name": "plan", "exact": "gold"}], "HttpRequestHeaderMatchInput.header_name"),
    ] = ()

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

    model_config = ConfigDict(
        json_schema_extra={"not": {"anyOf": [{"required": list(two)} for two in combinations(PATHS, 2)]}}
    )

    path: Annotated[Path | None, means("Exactly this path, without its query.", "/cart", "RouteMatch.path")] = None
    path_prefix: Annotated[
        PathPrefix | None,
        means("This path and everything under it, by whole segments.", "/cart", "RouteMatch.path_separated_prefix"),
    ] = Field(default=None, alias="pathPrefix")
    path_regex: Annotated[
        Regex | None,
        means("An expression for the whole path, without its query.", "/item/[0-9]+", "RouteMatch.safe_regex"),
    ] = Field(default=None, alias="pathRegex")
    methods: Annotated[
        tuple[Method, ...], means("One of these methods; none listed: any.", ["GET", "HEAD"], "RouteMatch.headers")
    ] = ()
    headers: Annotated[
        tuple[HeaderMatch, ...],
        means("Conditions on headers; all must hold.", [{"name": "x-beta", "present": True}], "RouteMatch.headers"),
    ] = ()
    query: Annotated[
        tuple[QueryMatch, ...],
        means(
            "Conditions on query parameters; all must hold.",
            [{"name": "beta", "exact": "1"}],
            "RouteMatch.query_parameters",
        ),
    ] = ()

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        said = [p for p in (self.path, self.path_prefix, self.path_regex) if p is not None]
        if len(said) > 1:
            raise ValueError(f"must have at most one of {', '.join(PATHS)}")
        return self

    @property
    def everything(self) -> bool:
        """It asks for nothing: every request is such a one."""
        anywhere = self.path is None and self.path_regex is None and self.path_prefix in (None, "/")
        return anywhere and not (self.methods or self.headers or self.query)

    @property
    def precedence(self) -> tuple[int, int, bool, int, int]:
        """The lower is tried first; among equals the component's name and the place in its list decide."""
        if self.path is not None:
            kind, length = 0, len(self.path)
        elif self.path_regex is not None:
            kind, length = 1, len(self.path_regex)
        else:
            kind, length = 2, len(self.path_prefix or "/")
        return kind, -length, not self.methods, -len(self.headers), -len(self.query)
