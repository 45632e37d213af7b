"""What conditions say about each other: one that implies another, and two that never hold together.

Sound, not complete: where it cannot be told for certain, nothing is said. A condition asks one value, or asks whether
any of several values will do (`one_value`):

    an audience's header     one: its lines are joined by commas
    a route's query          one: the first counts
    a route's header         several: its lines, each by itself
    an audience's query      several
    an audience's cookies    several
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import re2

from xds_server.records.matches import (
    AudienceMatch,
    AudienceQueryMatch,
    CookieMatch,
    HeaderMatch,
    QueryMatch,
    RouteRule,
)

Condition = HeaderMatch | QueryMatch | AudienceQueryMatch | CookieMatch


Written = tuple[str, Condition, bool]
"""The field of a condition, the condition, and whether it asks one value."""


def of_route(rule: RouteRule) -> list[Written]:
    headers: list[Written] = [(f"headers.{index}", each, False) for index, each in enumerate(rule.headers)]
    return headers + [(f"query.{index}", each, True) for index, each in enumerate(rule.query)]


def of_audience(match: AudienceMatch | None) -> list[Written]:
    if match is None:
        return []
    headers: list[Written] = [(f"headers.{index}", each, True) for index, each in enumerate(match.headers)]
    query: list[Written] = [(f"query.{index}", each, False) for index, each in enumerate(match.query)]
    return headers + query + [(f"cookies.{index}", each, False) for index, each in enumerate(match.cookies)]


def all_imply(narrow: Sequence[Written], wide: Sequence[Written]) -> bool:
    """Whatever meets the narrow conditions meets the wide ones."""
    return all(any(implies(one, other, one_value=single) for _, one, single in narrow) for _, other, _ in wide)


def exclusions(written: Iterable[Written]) -> Iterator[tuple[str, str, str]]:
    """Two conditions that never hold together: the fields of both, and the name that both ask for."""
    for (here, one, single), (there, other, _) in combinations(written, 2):
        if excludes(one, other, one_value=single):
            yield here, there, one.name


def implies(one: Condition, other: Condition, *, one_value: bool) -> bool:
    """Whatever meets `one` meets `other`."""
    if type(one) is not type(other) or one.name != other.name:
        return False
    if one == other:
        return True
    if one.present is not None or other.present is not None:
        return _presence(one) == _presence(other) or (_presence(other) is True and _asks_a_value(one))
    if _inverted(one) or _inverted(other):
        return _implies_inverted(one, other, one_value=one_value)
    return _narrows(one, other)


def _implies_inverted(one: Condition, other: Condition, *, one_value: bool) -> bool:
    if _inverted(one):
        return _inverted(other) and _narrows(_upright(other), _upright(one))
    return one_value and _apart(one, _upright(other))


def excludes(one: Condition, other: Condition, *, one_value: bool) -> bool:
    """Nothing meets both."""
    if type(one) is not type(other) or one.name != other.name:
        return False
    if _presence(one) is False or _presence(other) is False:
        return _asks_a_value(one) or _asks_a_value(other) or True in (_presence(one), _presence(other))
    if one.present is not None or other.present is not None:
        return False
    if _inverted(one) != _inverted(other):
        positive, negative = (other, one) if _inverted(one) else (one, other)
        return positive == _upright(negative) or _narrows(positive, _upright(negative))
    return one_value and not _inverted(one) and _apart(one, other)


def _presence(condition: Condition) -> bool | None:
    """Whether it asks for presence, or absence; None: for a value."""
    return None if condition.present is None else condition.present != _inverted(condition)


def _asks_a_value(condition: Condition) -> bool:
    """It holds only where there is a value. An empty one may be told apart from none, or not: nothing is said of it."""
    return condition.present is None and not _inverted(condition) and condition.exact != ""


def _inverted(condition: Condition) -> bool:
    return isinstance(condition, HeaderMatch) and condition.invert


def _upright(condition: Condition) -> Condition:
    return condition.model_copy(update={"invert": False}) if isinstance(condition, HeaderMatch) else condition


def _narrows(one: Condition, other: Condition) -> bool:
    """Of upright conditions on a value: each value of `one` is one of `other`."""
    if one == other:
        return True
    if one.exact:
        return _holds(other, one.exact) is True
    beginning, end, middle = _parts(one)
    if other.prefix is not None:
        return beginning.startswith(other.prefix)
    if isinstance(other, HeaderMatch) and other.suffix is not None:
        return end.endswith(other.suffix)
    if isinstance(other, HeaderMatch) and other.contains is not None:
        return any(other.contains in part for part in (beginning, end, middle))
    return False


def _apart(one: Condition, other: Condition) -> bool:
    """Of upright conditions on a value: no value is one of both."""
    if one.exact or other.exact:
        known, asked = (one, other) if one.exact else (other, one)
        return _holds(asked, known.exact or "") is False
    (beginning, end, _), (other_beginning, other_end, _) = _parts(one), _parts(other)
    return not (
        (beginning.startswith(other_beginning) or other_beginning.startswith(beginning))
        and (end.endswith(other_end) or other_end.endswith(end))
    )


def _parts(condition: Condition) -> tuple[str, str, str]:
    """What its values certainly begin with, end with, and contain."""
    end = (condition.suffix or "") if isinstance(condition, HeaderMatch) else ""
    middle = (condition.contains or "") if isinstance(condition, HeaderMatch) else ""
    return condition.prefix or "", end, middle


def _holds(condition: Condition, value: str) -> bool | None:
    """Whether an upright condition holds for a value; None: not known."""
    if condition.exact is not None:
        return condition.exact == value
    if condition.prefix is not None:
        return value.startswith(condition.prefix)
    if isinstance(condition, AudienceQueryMatch | CookieMatch):
        return None
    if condition.regex is not None:
        return bool(re2.fullmatch(condition.regex, value)) if value.isascii() else None
    if isinstance(condition, HeaderMatch) and condition.suffix is not None:
        return value.endswith(condition.suffix)
    return (condition.contains or "") in value if isinstance(condition, HeaderMatch) else None
