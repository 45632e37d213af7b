"""What rollouts are judged by, out of what the fleet says of its requests."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.rollout.watched import Past, Question, Watched
from xds_server.runtime.telemetry import Telemetry
from xds_server.stats import Counts, Pairing, Tick
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.ticks import ERRORS, Comparison, Guard, history, slow, ticks_of


class Judging:
    """Each flush is told once, after it was written down: a restart tells it neither again nor not at all."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._told = 0

    def flushes(self) -> list[Numbered]:
        """Those that were written down since this was asked last."""
        since, self._told = self._told, self._telemetry.settled
        if since == self._told:
            return []
        return [each for each in self._telemetry.flushes.since(since) if each.number <= self._told]

    def past(self, canary: Ref, deployments: Iterable[Ref]) -> Past:
        """Of the last hour, also where the server began in it."""
        others = [each for each in deployments if each != canary]

        def past(cohort: str, deployment: Ref | None, over: float) -> Sequence[Counts]:
            of = others if deployment is None else [deployment]
            return self._telemetry.minutes.past(of, cohort, _guard(over))

        return past

    def is_dead(self, components: Iterable[tuple[Ref, str]]) -> bool:
        """One of these components in a deployment has no healthy instance at any proxy that has it."""
        return self._telemetry.is_dead(components)


class Ticks:
    """Of one attempt of a rollout, by what it is asked. What waits for its other side is not kept over a restart."""

    def __init__(self, seen: Watched) -> None:
        self._attempt = seen.identity, seen.attempt
        self._stable = seen.stable
        self._heard = [_heard(seen, each) for each in seen.asked]

    def are_of(self, seen: Watched) -> bool:
        return self._attempt == (seen.identity, seen.attempt)

    def hear(self, flushes: Sequence[Numbered]) -> list[list[Tick]]:
        """Those that these flushes make whole, of each question."""
        return [each(flushes) for each in self._heard]

    def outage(self, flushes: Sequence[Numbered]) -> bool:
        """Most requests of users who were given stable by weight failed."""
        found = () if self._stable is None else history(flushes, self._stable, DEFAULT_RULE, ERRORS)
        return reduce(Counts.plus, found, Counts()).mostly_bad


def _heard(seen: Watched, question: Question) -> Callable[[Sequence[Numbered]], list[Tick]]:
    guard = _guard(question.over)
    if question.limit or seen.stable is None:
        return lambda flushes: [Tick(each, Counts()) for each in history(flushes, seen.canary, question.cohort, guard)]
    comparison, pairing = Comparison(seen.canary, seen.stable, question.cohort, guard), Pairing()
    return lambda flushes: ticks_of(flushes, comparison, pairing)


def _guard(over: float) -> Guard:
    return slow(over) if over else ERRORS
