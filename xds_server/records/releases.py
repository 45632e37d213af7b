"""Record `Release`: who gets which deployment of an app."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from xds_server.domain.names import DEFAULT_RULE, EXPLICIT_RULE, Ref
from xds_server.records.matches import AudienceMatch
from xds_server.records.record import RecordBase
from xds_server.records.rollout import Rollout
from xds_server.records.values import (
    WEIGHTS,
    WHOLE,
    Duration,
    HeaderName,
    Host,
    Instant,
    Label,
    Model,
    OneOf,
    Text,
    Token,
    Weight,
    Whole,
    Word,
    any_of,
    means,
)

Weights = tuple[tuple[Ref, int], ...]
"""Deployments with their parts of the default traffic in hundredths of a percent, in an order that means nothing."""

RESERVED_RULES = (DEFAULT_RULE, EXPLICIT_RULE, "no-context")


class Share(Model):
    """A deployment's part of the default traffic. Weight 0 is listed and kept warm."""

    deployment: Annotated[Word, means("Which deployment.", "shop-v2", "RouteAction.cluster")]
    weight: Annotated[
        Weight | None,
        means(
            "Its share in percent, in steps of 0.01. A single deployment needs none and gets all.",
            5,
            "RegexMatcher.regex, ConsistentHashing.threshold",
        ),
    ] = None


class Sticky(OneOf):
    """A user stays with what they got: by a cookie that we set, or by a header that names the user."""

    ways: ClassVar = ("cookie", "header")

    cookie: Annotated[
        Token | None,
        means(
            "The cookie that holds a user's random id; set where it is absent.",
            "shop-user",
            "Route.response_headers_to_add",
        ),
    ] = None
    max_age: Annotated[
        Duration, means("How long a browser keeps the cookie.", "30d", "Route.response_headers_to_add")
    ] = Field(default=timedelta(days=365), alias="maxAge")
    header: Annotated[
        HeaderName | None,
        means(
            "The header that names the user; a request without it draws anew.",
            "x-user-id",
            "HttpRequestHeaderMatchInput.header_name",
        ),
    ] = None


def _not_reserved(name: str) -> str:
    if name in RESERVED_RULES:
        raise ValueError(f"may not be {name!r}, which means one of this server's own rules")
    return name


class Audience(Model):
    """A durable rule inside a release: these hosts and/or this match, to this deployment."""

    model_config = ConfigDict(json_schema_extra=any_of("hosts", "match"))

    name: Annotated[
        Label,
        AfterValidator(_not_reserved),
        means("What the rule is called in logs, metrics and `x-served-rule`.", "acme-uat", "Route.name"),
    ]
    hosts: Annotated[
        tuple[Host, ...],
        means(
            "Hosts of its own; none: it holds on every host of the release.",
            ["acme.shop.example.com"],
            "VirtualHost.domains",
        ),
    ] = ()
    match: Annotated[
        AudienceMatch | None,
        means(
            "What requests must look like; with `hosts`, both must hold.",
            {"headers": [{"name": "x-early-adopter", "exact": "true"}]},
            "Matcher.MatcherList.FieldMatcher.predicate",
        ),
    ] = None
    deployment: Annotated[Word, means("Which deployment they get.", "shop-v2", "RouteAction.cluster")]
    why: Annotated[Text, means("What it is for, for those who read it later.", "Acme's acceptance test")] = ""
    until: Annotated[
        Instant | None,
        means(
            "When it ends: a date (its end, UTC) or an instant. Hosts of its own then answer 404.",
            "2027-01-31",
        ),
    ] = None

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        if not self.hosts and self.match is None:
            raise ValueError("must have hosts, a match, or both")
        return self


class ReleasePolicy(Model):
    """How a release becomes active and how much of its past is kept."""

    activation_deadline: Annotated[
        Duration, means("How long what it newly gives may take to be ready; then it has failed.", "300s")
    ] = Field(default=timedelta(seconds=300), alias="activationDeadline")
    history: Annotated[
        Whole, means("How many deployments that had default traffic before stay, to go back to; 0: none.", 10)
    ] = Field(default=10, ge=0, le=1000)


def _once(names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has {twice!r} twice")


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    _once(list(names))
    return names


def _named_once(audiences: tuple[Audience, ...]) -> tuple[Audience, ...]:
    _once([audience.name for audience in audiences])
    return audiences


def _whole(shares: tuple[Share, ...]) -> tuple[Share, ...]:
    _once([share.deployment for share in shares])
    if len(shares) == 1 and shares[0].weight is None:
        return shares
    if any(share.weight is None for share in shares):
        raise PydanticCustomError(WEIGHTS, "needs a weight for each of its deployments")
    total = sum(share.weight or 0 for share in shares)
    if shares and total != WHOLE:
        said = f"{total / 100:.9g}"
        raise PydanticCustomError(WEIGHTS, "has weights that sum to {total}, not to 100", {"total": said})
    return shares


def _said_with(one: str, other: str) -> JsonDict:
    """For editors: a list that is not empty needs another that is not."""
    return {"if": _some(one), "then": _some(other)}


def _some(name: str) -> JsonDict:
    return {"required": [name], "properties": {name: {"minItems": 1}}}


class ReleaseSpec(Model):
    """Who gets which deployment of an app."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                _some("hosts"),
                {"properties": {"audiences": {"contains": _some("hosts")}}, "required": ["audiences"]},
            ],
            "allOf": [_said_with("hosts", "default"), _said_with("default", "hosts")],
        }
    )

    app: Annotated[Word, means("Which app is released.", "shop")]
    gateways: Annotated[
        tuple[Word, ...], Field(min_length=1), AfterValidator(_distinct), means("At which gateways.", ["edge"])
    ]
    hosts: Annotated[
        tuple[Host, ...],
        AfterValidator(_distinct),
        means(
            "On which hosts. Exact beats wildcard, a longer wildcard a shorter one.",
            ["shop.example.com"],
            "VirtualHost.domains",
        ),
    ] = ()
    default: Annotated[
        tuple[Share, ...],
        AfterValidator(_whole),
        means(
            "Who gets what without being named by a rule: deployments whose weights sum to 100.",
            [{"deployment": "shop-v1", "weight": 95}, {"deployment": "shop-v2", "weight": 5}],
            "VirtualHost.matcher",
        ),
    ] = ()
    sticky: Annotated[
        Sticky | None,
        means("Users stay with what they got; absent: every request draws anew.", {"cookie": "shop-user"}),
    ] = None
    audiences: Annotated[
        tuple[Audience, ...],
        AfterValidator(_named_once),
        means(
            "Who gets a deployment whatever the weights are; the first that holds wins.",
            [{"name": "acme-uat", "hosts": ["acme.shop.example.com"], "deployment": "shop-v2"}],
            "VirtualHost.matcher",
        ),
    ] = ()
    rollout: Annotated[
        Rollout | None, means("How the release moves by itself.", {"steps": [{"to": 5, "for": "20m"}, {"to": 100}]})
    ] = None
    policy: Annotated[ReleasePolicy, means("How it becomes active, and what of its past stays.", {"history": 10})] = (
        ReleasePolicy()
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.hosts and not self.default:
            raise ValueError("has hosts but no default: say which deployment they get")
        if self.default and not self.hosts:
            raise ValueError("has a default but no hosts: say on which hosts")
        if not self.hosts and not any(audience.hosts for audience in self.audiences):
            raise ValueError("has no hosts at all: add hosts, or an audience with hosts")
        return self

    @property
    def shares(self) -> tuple[tuple[str, int], ...]:
        """The default's deployments with their weights in hundredths of a percent; they sum to `WHOLE`, or are none."""
        return tuple((share.deployment, WHOLE if share.weight is None else share.weight) for share in self.default)

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """Every host of the release: its own and its audiences'."""
        return tuple(sorted({*self.hosts, *(host for audience in self.audiences for host in audience.hosts)}))

    @property
    def deployments(self) -> tuple[str, ...]:
        """Every deployment that the release names, once."""
        named = [share.deployment for share in self.default] + [audience.deployment for audience in self.audiences]
        return tuple(dict.fromkeys(named))


class Release(RecordBase):
    """Record: who gets which deployment of an app."""

    kind: Annotated[Literal["Release"], means("Which record this is.", "Release")]
    spec: Annotated[
        ReleaseSpec,
        means(
            "What it says.",
            {
                "app": "shop",
                "gateways": ["edge"],
                "hosts": ["shop.example.com"],
                "default": [{"deployment": "shop-v1"}],
            },
        ),
    ]

    @property
    def weights(self) -> Weights:
        """What the default gives, as `ReleaseSpec.shares` has it."""
        return tuple((self.refer(word), weight) for word, weight in self.spec.shares)
