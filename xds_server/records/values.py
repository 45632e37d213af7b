"""The small values that record fields are made of: each knows how it is written and what to say when it is not."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic import BaseModel as PydanticModel
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import override

from xds_server.domain.addresses import Address
from xds_server.records.regex import lacking

LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for what a header name is made of
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
FORM = "form:"
"""How pydantic's path names one of several forms that a value may have: a step that is no field."""
WEIGHTS = "weights"
"""The type of pydantic's error for weights that do not make a whole."""
UNKNOWN_NAME = "unknown_name"
"""The type of pydantic's error for a name that nothing has: its context says at which `field`, and what is `known`."""
WHOLE = 10_000
"""All of the traffic, in the unit of a weight: hundredths of a percent."""
LARGEST = (1 << 32) - 1
"""What a number in Envoy's messages can be."""
LONGEST = timedelta(days=3650)


class Model(PydanticModel):
    """Base of everything that is read from a record: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", regex_engine="rust-regex")


class OneOf(Model):
    """A model that says exactly one of its `ways`: which fields those are, for the validator and for editors."""

    ways: ClassVar[tuple[str, ...]]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        said = [name for name in self.ways if getattr(self, name) is not None]
        if len(said) != 1:
            found = f", not {' and '.join(said)}" if said else ""
            ways = ", ".join(type(self).model_fields[name].alias or name for name in self.ways)
            raise ValueError(f"must have exactly one of {ways}{found}")
        return self

    @override
    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        written = [cls.model_fields[name].alias or name for name in cls.ways]
        handler.resolve_ref_schema(found)["oneOf"] = [{"required": [name]} for name in written]
        return found


def any_of(*names: str) -> JsonDict:
    """For editors: at least one of these fields says something."""
    return {"anyOf": [{"required": [name], "properties": {name: {"minItems": 1}}} for name in names]}


@dataclass(frozen=True, slots=True)
class OrPlain:
    """For editors: a model that may be written as one value of a simpler type."""

    simpler: Any

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [TypeAdapter(self.simpler).json_schema(), handler(schema)]}


def means(what: str, example: Any, envoy: str = "") -> Any:
    """What a field is for, for the generated pages and schemas (`docs/fields.md`, `manifests/schema`).

    `example` is a value as an operator writes it; `envoy` the field of Envoy's API that it becomes, such as
    `Cluster.connect_timeout`; empty: none, it is this server's own.
    """
    return Field(description=what, examples=[example], json_schema_extra={"envoy": envoy})


def _word(word: str) -> Any:
    """What the generated pages call values of a type."""
    return Field(title=word)


def _written(word: str, pattern: str, **more: Any) -> WithJsonSchema:
    """How an editor knows a value that is more than its text. The pattern refuses nothing that the validator takes."""
    return WithJsonSchema({"type": "string", "title": word, "pattern": f"^(?:{pattern})$", **more})


def duration_text(value: timedelta) -> str:
    """As an operator writes it, in the largest units: 1h30m."""
    left, parts = value // timedelta(milliseconds=1), []
    for unit, seconds in reversed(UNITS.items()):
        count, left = divmod(left, round(seconds * 1000))
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def _fits(value: int) -> int:
    if value < 0:
        raise ValueError("must be at least 0")
    if value > LARGEST:
        raise ValueError(f"must be at most {LARGEST}")
    return value


def _duration(value: Any) -> timedelta:
    parts = re.findall(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError("must be a duration such as 500ms, 15s, 20m, 1h30m or 365d")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"must be at most {LONGEST.days}d")
    if abs(seconds * 1000 - round(seconds * 1000)) > 1e-6:
        raise ValueError(
            "must be in whole milliseconds"
        )  # Envoy cuts the rest off: half of one would be no time at all
    return timedelta(milliseconds=round(seconds * 1000))


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be more than 0s")
    return value


def _hundredths(value: Any) -> int:
    """A share in percent, in steps of 0.01, as hundredths of a percent."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    hundredths = Decimal(str(value)) * 100 if number else Decimal("NaN")
    if not hundredths.is_finite() or not 0 <= hundredths <= WHOLE:
        raise ValueError("must be a number from 0 to 100")
    if hundredths != int(hundredths):
        raise ValueError("must be in steps of 0.01")
    return int(hundredths)


def _percent(hundredths: int) -> float:
    return hundredths / 100


def _host(value: str) -> str:
    if not _is_host(value.removeprefix("*.")):
        raise ValueError("must be a lower-case host name without a port, such as shop.example.com or *.example.com")
    return value


def _host_name(value: str) -> str:
    if not _is_host(value):
        raise ValueError("must be a lower-case host name without a port, such as web.internal")
    return value


def _is_host(text: str) -> bool:
    return len(text) <= 253 and re.fullmatch(rf"{LABEL}(?:\.{LABEL})*", text) is not None


def _host_template(value: str) -> str:
    suffix = value.removeprefix("{deployment}.")
    if suffix == value or not _is_host(suffix):
        raise ValueError('must be "{deployment}." and a host name, such as "{deployment}.preview.example.com"')
    return value


def _socket_address(value: str) -> str:
    """In one spelling, so that one instance is not two."""
    if _IN_ONE_SPELLING.fullmatch(value) and int(value.rpartition(":")[2]) <= 65535:
        return value  # nearly every instance; to read an address whole takes twenty times as long
    host, _, port = value.rpartition(":") if not _is_ip(value) else (value, ":", "")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _is_ip(bare):
        raise ValueError(
            f'must be "IP:port"; for a host name write endpoints: {{dns: "{value}"}} in place of addresses'
        )
    if (":" in bare) != (bare != host):
        raise ValueError('must be "IPv4:port", or "[IPv6]:port" with the address in brackets')
    return str(Address(_ip(bare), _port(port)))


def _dns_address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not _is_host(host):
        raise ValueError('must be "host:port" with a lower-case host name, such as web.internal:8080')
    _port(port)
    return value


def _host_port(value: str) -> str:
    host = value.rpartition(":")[0]
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if _is_ip(bare):
        return _socket_address(value)
    if not _is_host(host):
        raise ValueError('must be "host:port" with a lower-case host name or an IP address, such as otel.internal:4317')
    return _dns_address(value)


def _port(port: str) -> int:
    if not (re.fullmatch("0*[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise ValueError("must end in a port from 1 to 65535, such as 10.0.0.4:8080")
    return int(port)


def _is_ip(text: str) -> bool:
    """Without a zone, which Envoy does not read."""
    try:
        return bool(ipaddress.ip_address(text)) and "%" not in text
    except ValueError:
        return False


def _ip(value: str) -> str:
    """In its shortest spelling."""
    if not _is_ip(value):
        raise ValueError("must be an IP address to listen on, such as 0.0.0.0, 127.0.0.1 or ::")
    return str(ipaddress.ip_address(value))


def _instant(value: Any) -> datetime:
    """RFC 3339, or a date, which means its end in UTC."""
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return datetime.combine(date.fromisoformat(value), time.max, UTC)
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError('must be a date such as "2027-01-31" (its end, UTC) or RFC 3339 with a zone')
    return moment


def _regex(value: str) -> str:
    if wrong := lacking(value):
        raise ValueError(wrong)
    return value


def _upgrade(value: str) -> str:
    if value.lower() in ("connect", "connect-udp", "h2c"):
        raise ValueError(f"may not be {value!r}, which asks a proxy for something else")
    return value.lower()


def _prefix(value: str) -> str:
    """Whole segments: `/api/` and `/api` mean the same, as in the Gateway API."""
    return value.rstrip("/") or "/"


LABEL_PATTERN = rf"^{LABEL}$"
WORD_PATTERN = rf"^(?:{LABEL}\.)?{LABEL}$"
HASH_PATTERN = r"^[A-Za-z0-9][-A-Za-z0-9._:+]{0,127}$"
TOKEN_PATTERN = rf"^{TOKEN}$"
UPGRADE_PATTERN = rf"^{TOKEN}(?:/{TOKEN})?$"
PATH_PATTERN = r"^/[^?#\s\x00-\x1f\x7f]*$"
PARAMETER_PATTERN = r"^[A-Za-z0-9._~-]{1,256}$"
PATTERNS = {
    LABEL_PATTERN: "a DNS label: lower-case letters, digits and '-', at most 63",
    WORD_PATTERN: "a record's name, or namespace.name",
    HASH_PATTERN: "letters, digits and any of - . _ : +, at most 128",
    TOKEN_PATTERN: "a name that HTTP allows, such as x-early-adopter",
    UPGRADE_PATTERN: "a protocol that a connection can switch to, such as websocket",
    PATH_PATTERN: "a path that begins with / and has no ?, # or white space",
    PARAMETER_PATTERN: "letters, digits and any of - . _ ~",
}

_HOST = rf"{LABEL}(?:\.{LABEL})*"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IN_ONE_SPELLING = re.compile(rf"{_IPV4}:[1-9][0-9]{{0,4}}")
_IPV6 = r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
_PORT = "0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
_DURATION = r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d))+"
_SOME_TIME = r"[0-9a-z.]*[1-9][0-9a-z.]*"

Text = Annotated[str, _word("text")]
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN), _word("DNS label")]
Word = Annotated[str, StringConstraints(pattern=WORD_PATTERN), _word("record's name")]
"""A record's name, or `namespace.name`."""
Quoted = Annotated[str, StringConstraints(pattern=HASH_PATTERN), _word("quoted word")]
"""A version or a content hash."""
Token = Annotated[str, StringConstraints(pattern=TOKEN_PATTERN), _word("HTTP token")]
Parameter = Annotated[str, StringConstraints(pattern=PARAMETER_PATTERN), _word("parameter name")]
"""The name of a query parameter that is a selector: what needs no encoding."""
HeaderName = Annotated[Token, AfterValidator(str.lower), _word("header name")]
Upgrade = Annotated[
    str,
    StringConstraints(pattern=UPGRADE_PATTERN),
    AfterValidator(_upgrade),
    _word("upgrade protocol"),
]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict(), AfterValidator(_fits)]
"""A limit of its own is written on the field: pydantic keeps the last `le` alone, and ours would be the last."""
Number = Annotated[float, Strict(), AllowInfNan(False)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, when_used="json"),
    _written("duration", _DURATION),
]
Interval = Annotated[
    timedelta,
    BeforeValidator(_duration),
    AfterValidator(_positive),
    PlainSerializer(duration_text, when_used="json"),
    _written("duration above 0s", _DURATION, allOf=[{"pattern": f"^{_SOME_TIME}$"}]),
]
Weight = Annotated[
    int,
    BeforeValidator(_hundredths),
    PlainSerializer(_percent, when_used="json"),
    WithJsonSchema({"type": "number", "title": "percent", "minimum": 0, "maximum": 100}),
]
Host = Annotated[str, AfterValidator(_host), _written("host", rf"(?:\*\.)?{_HOST}", maxLength=255)]
HostName = Annotated[str, AfterValidator(_host_name), _written("host name", _HOST, maxLength=253)]
HostTemplate = Annotated[
    str,
    AfterValidator(_host_template),
    _written("host template", rf"\{{deployment\}}\.{_HOST}"),
]
SocketAddress = Annotated[
    str,
    AfterValidator(_socket_address),
    _written("IP:port", rf"(?:{_IPV4}|\[(?:{_IPV4}|{_IPV6})\]):{_PORT}"),
]
DnsAddress = Annotated[str, AfterValidator(_dns_address), _written("host:port", rf"{_HOST}:{_PORT}")]
HostPort = Annotated[str, AfterValidator(_host_port)]
"""Where something of the operator's own listens: an IP address or a host name, and a port."""
Ip = Annotated[str, AfterValidator(_ip), _written("IP address", rf"{_IPV4}|{_IPV6}")]
Instant = Annotated[datetime, BeforeValidator(_instant), _written("date or RFC 3339", f"{_DATE}(?:{_TIME})?")]
Regex = Annotated[str, StringConstraints(min_length=1), AfterValidator(_regex), _word("RE2 expression")]
Path = Annotated[str, StringConstraints(pattern=PATH_PATTERN), _word("path")]
PathPrefix = Annotated[str, StringConstraints(pattern=PATH_PATTERN), AfterValidator(_prefix), _word("path prefix")]
