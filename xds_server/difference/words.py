"""How what is different is said: shares, conditions, names, what a build gets."""

from collections.abc import Iterable

from xds_server.difference.builds import Bound
from xds_server.difference.moves import Answer, Parts
from xds_server.domain.names import Ref
from xds_server.domain.words import few
from xds_server.records.matches import AudienceMatch, AudienceQueryMatch, CookieMatch, HeaderMatch
from xds_server.traffic.intents import RefusalReason


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


def bound_words(bound: Bound) -> str:
    if bound.deployment is not None:
        because = f", the oldest that has it, because {bound.because}" if bound.because else ""
        return f"{bound.deployment.word}{because}"
    if bound.release is not None:
        lacking = f", but never {words(sorted(bound.lacking))}, which does not have it" if bound.lacking else ""
        return f"what Release {bound.release.word} gives a user{lacking}"
    return f"400, because {bound.refused}"
