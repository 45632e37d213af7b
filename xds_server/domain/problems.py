"""A fault in the operator's input is a value: it is listed and shown, never raised."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from typing_extensions import override


class Severity(StrEnum):
    """An error keeps the record's last good content in force; a warning changes nothing."""

    ERROR = "error"
    WARNING = "warning"


class Reason(StrEnum):
    """What kind of fault a problem is, for machines. Stable: scripts and alerts match on it."""

    MALFORMED = "Malformed"
    INVALID_FIELD = "InvalidField"
    DUPLICATE_RECORD = "DuplicateRecord"
    UNKNOWN_DEPLOYMENT = "UnknownDeployment"
    UNKNOWN_GATEWAY = "UnknownGateway"
    UNKNOWN_COMPONENT = "UnknownComponent"
    WRONG_APP = "WrongApp"
    WEIGHTS = "Weights"
    BUILD_CONFLICT = "BuildConflict"
    ROUTE_CONFLICT = "RouteConflict"
    IMMUTABLE = "Immutable"
    IN_USE = "InUse"
    PINNED = "Pinned"
    ROLLOUT_UNKNOWN = "RolloutUnknown"
    ROLLOUT_NOT_WRITTEN = "RolloutNotWritten"
    PENDING = "Pending"
    ACTIVATION_FAILED = "ActivationFailed"
    NO_ENDPOINTS = "NoEndpoints"
    SOURCE_UNREADABLE = "SourceUnreadable"
    NO_RECORDS = "NoRecords"
    NOT_IN_FORCE = "NotInForce"
    MUTABLE_RELEASED = "MutableReleased"
    UNPLACED_BUILD = "UnplacedBuild"
    REFUSED = "Refused"
    EXTENSION_FAILED = "ExtensionFailed"
    OLD_ENVOY = "OldEnvoy"
    NEWER_ENVOY = "NewerEnvoy"
    LATE_PROXY = "LateProxy"
    EXTENSION_UNUSED = "ExtensionUnused"
    NO_CALLS_RELEASE = "NoCallsRelease"
    NEVER_RETRIED = "NeverRetried"
    CERTIFICATE = "Certificate"
    CERTIFICATE_EXPIRES = "CertificateExpires"
    SHADOWED_RULE = "ShadowedRule"
    SHADOWED_AUDIENCE = "ShadowedAudience"
    UNREACHED_DEFAULT = "UnreachedDefault"
    CONTRADICTION = "Contradiction"
    SELECTOR_WINS = "SelectorWins"
    STRIPPED_HEADER = "StrippedHeader"
    AUDIENCE_ENDED = "AudienceEnded"
    UNDELIVERED = "Undelivered"
    STATE_UNWRITABLE = "StateUnwritable"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in the operator's input: `records/shop.yaml`, second document, line 14, `spec.default.0.weight`.

    `document` and `line` count from 1; 0 means that the place is the whole file.
    """

    file: str
    document: int = 0
    line: int = 0
    path: str = ""

    @override
    def __str__(self) -> str:
        text = self.file
        if self.line:
            text += f":{self.line}"
        if self.document:
            text += f" (document {self.document})"
        return text


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong, where, and what to do about it. `record` is `Kind/namespace/name`, empty for a whole file."""

    where: Place
    reason: Reason
    what: str
    fix: str
    record: str = ""
    severity: Severity = field(default=Severity.ERROR)

    @override
    def __str__(self) -> str:
        subject = f" {self.record}:" if self.record else ""
        end = "" if self.fix.endswith(("?", ".")) else "."
        return f"{self.where}: {self.severity}:{subject} {self.what}. {self.fix}{end} [{self.reason}]"


def beyond(problems: Iterable[Problem], others: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those that the others do not say too; a problem that only moved in its file is the same."""
    known = {_said(each) for each in others}
    return tuple(each for each in problems if _said(each) not in known)


def _said(problem: Problem) -> tuple[str, ...]:
    return problem.record or problem.where.file, problem.reason, problem.where.path, problem.what
