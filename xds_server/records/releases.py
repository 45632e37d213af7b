"""Record `Release`: who gets which deployment of an app."""

from collections import Counter
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from xds_server.domain.names import DEFAULT_RULE, EXPLICIT_RULE
from xds_server.records.matches import AudienceMatch, exactly_one
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
    Text,
    Token,
    Weight,
    Whole,
    Word,
)

RESERVED_RULES = (DEFAULT_RULE, EXPLICIT_RULE, "no-context")


class Share(Model):
    """A deployment's part of the default traffic. Weight 0 is listed and kept warm."""

    deployment: Word
    weight: Weight | None = None


class Sticky(Model):
    """A user stays with what they got: by a cookie that we set, or by a header that names the user."""

    cookie: Token | None = None
    max_age: Duration = Field(default=timedelta(days=365), alias="maxAge")
    header: HeaderName | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, "cookie", "header")
        return self


def _not_reserved(name: str) -> str:
    if name in RESERVED_RULES:
        raise ValueError(f"may not be {name!r}, which means one of this server's own rules")
    return name


class Audience(Model):
    """A durable rule inside a release: these hosts and/or this match, to this deployment."""

    name: Annotated[Label, AfterValidator(_not_reserved)]
    hosts: tuple[Host, ...] = ()
    match: AudienceMatch | None = None
    deployment: Word
    why: Text = ""
    until: Instant | None = None

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        if not self.hosts and self.match is None:
            raise ValueError("must have hosts, a match, or both")
        return self


class ReleasePolicy(Model):
    """How a release becomes active and how much of its past is kept."""

    activation_deadline: Duration = Field(default=timedelta(seconds=300), alias="activationDeadline")
    history: Whole = Field(default=10, ge=0, le=1000)


def _once(names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"has {twice[0]!r} twice")


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


class ReleaseSpec(Model):
    """Who gets which deployment of an app."""

    app: Word
    gateways: Annotated[tuple[Word, ...], Field(min_length=1), AfterValidator(_distinct)]
    hosts: Annotated[tuple[Host, ...], AfterValidator(_distinct)] = ()
    default: Annotated[tuple[Share, ...], AfterValidator(_whole)] = ()
    sticky: Sticky | None = None
    audiences: Annotated[tuple[Audience, ...], AfterValidator(_named_once)] = ()
    rollout: Rollout | None = None
    policy: ReleasePolicy = ReleasePolicy()

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

    kind: Literal["Release"]
    spec: ReleaseSpec
