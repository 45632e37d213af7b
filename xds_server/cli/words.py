"""How values are said in reports: shares, conditions, lists of names."""

from collections.abc import Iterable

from xds_server.difference.moves import Answer, Parts
from xds_server.domain.names import Ref
from xds_server.domain.words import few
from xds_server.records.matches import AudienceMatch, AudienceQueryMatch, CookieMatch, HeaderMatch
from xds_server.traffic.intents import RefusalReason


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def percent(share: int) -> str:
    return f"{share / 100:.9g}%"


def answer(said: Answer) -> str:
    return f"404 {said.value}" if isinstance(said, RefusalReason) else said.word


def shares(parts: Parts) -> str:
    if len(parts) == 1:
        return answer(parts[0].answer)
    return ", ".join(f"{answer(part.answer)} {percent(part.share)}" for part in parts)


def words(refs: Iterable[Ref]) -> str:
    return few(each.word for each in refs)


def conditions(match: AudienceMatch | None) -> str:
    if match is None:
        return "every request"
    said = [
        *(_condition("header", each) for each in match.headers),
        *(_condition("query", each) for each in match.query),
        *(_condition("cookie", each) for each in match.cookies),
    ]
    return " and ".join(said)


def _condition(kind: str, match: HeaderMatch | AudienceQueryMatch | CookieMatch) -> str:
    subject = f"{kind} {match.name}"
    fields = match.model_dump(exclude={"name", "invert", "present"}, exclude_none=True)
    negated = isinstance(match, HeaderMatch) and match.invert
    if match.present is not None:
        return f"{subject} {'present' if match.present != negated else 'absent'}"
    [(how, value)] = fields.items()
    return f'{subject} {"not " if negated else ""}{how} "{value}"'
