"""What `xdsctl` prints: tables and colours on a terminal, plain text in a pipe, the same as data."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xds_server.api.difference_data import bound_data
from xds_server.api.problems import problem_report
from xds_server.difference.builds import Bound, bound
from xds_server.difference.words import bound_words
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Severity
from xds_server.domain.words import count, few
from xds_server.graph import distil, footprint
from xds_server.messages.codec import to_json
from xds_server.records.world import AppWorld, World
from xds_server.snapshot import Snapshot, TypeUrl

SHARED = 20
"""Lines of shared builds that `check` prints; the rest are counted, and `builds` names all."""
COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def print_problems(problems: Iterable[Problem], records: int | None = None, world: World | None = None) -> None:
    """`records`: how many are in force, if that is known. `world`: that of which shared builds are named."""
    console = Console(soft_wrap=True, highlight=False)
    found = list(problems)
    for problem in found:
        console.print(problem_line(problem))
    shared = list(_shared_builds(world)) if world is not None else []
    for line in shared[:SHARED]:
        console.print(line)
    if len(shared) > SHARED:
        console.print(f"and more builds of {len(shared) - SHARED} more apps")
    errors = sum(1 for each in found if each.severity is Severity.ERROR)
    warnings = len(found) - errors
    holding = "" if records is None else f"{count(records, 'record')} in force; "
    said = f"{holding}{count(errors, 'error')}, {count(warnings, 'warning')}"
    console.print(said, style="red" if errors else "green")


def print_errors(problems: Iterable[Problem]) -> None:
    """On stderr: what is left out of what is printed."""
    print_aside(each for each in problems if each.severity is Severity.ERROR)


def print_aside(problems: Iterable[Problem]) -> None:
    """On stderr."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for problem in problems:
        console.print(problem_line(problem))


def problem_line(problem: Problem) -> Text:
    line = Text(str(problem))
    line.highlight_words([f"{problem.severity}:"], COLOURS[problem.severity])
    line.highlight_words([str(problem.where)], "bold")
    return line


def problems_data(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [problem_report(each).model_dump(mode="json") for each in problems]


def rendered(snapshot: Snapshot) -> dict[str, list[dict[str, Any]]]:
    """The resources of a gateway by type, as Envoy's documentation writes them, but for private keys."""
    said = {
        type_url: [to_json(type_url, each.body) for _, each in sorted(snapshot.of(type_url).items())]
        for type_url in TypeUrl
    }
    for secret in said[TypeUrl.SECRET]:
        if "tls_certificate" in secret:
            secret["tls_certificate"]["private_key"] = "[redacted]"
    return {type_url.value: found for type_url, found in said.items()}


def builds_data(world: World) -> list[dict[str, Any]]:
    return [
        {
            "app": app.app.word,
            "deployment": deployment.word,
            "owns": [build.word for build in owns],
            "shares": {build.word: [each.word for each in sorted(others)] for build, others in shares.items()},
            "withoutContext": {
                build.word: bound_data(bound(app, others | {deployment})) for build, others in shares.items()
            },
        }
        for app, deployment, owns, shares in _footprints(world)
    ]


def print_builds(world: World) -> None:
    table = Table("app", "deployment", "build", "shared with", box=None, pad_edge=False)
    for app, deployment, owns, shares in _footprints(world):
        rows = {**dict.fromkeys(owns, ""), **{build: _words(others) for build, others in shares.items()}}
        for index, (build, others) in enumerate(sorted(rows.items())):
            first = (app.app.word, deployment.word) if index == 0 else ("", "")
            table.add_row(*first, build.word, others or Text("only here: came with it, leaves with it", "green"))
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    for _, app in sorted(world.apps.items()):
        for build, given in _calls_without_a_context(app):
            console.print(f"calls without a context from {build.word} get {bound_words(given)}")


def _shared_builds(world: World) -> Iterator[str]:
    """Those of an app to which the same happens are one line."""
    for _, app in sorted(world.apps.items()):
        alike: defaultdict[Bound, list[str]] = defaultdict(list)
        for build, given in _calls_without_a_context(app):
            alike[given].append(build.word)
        for given, builds in alike.items():
            yield f"{few(builds)}: shared, so calls without a context get {bound_words(given)}"


def _calls_without_a_context(app: AppWorld) -> Iterator[tuple[BuildId, Bound]]:
    """A build that several deployments share does not say whose a call is."""
    for build, users in distil(app.deployments.values()).items():
        given = bound(app, users)
        if given is not None and len(users) > 1:
            yield build, given


def _words(refs: Iterable[Ref]) -> str:
    return ", ".join(each.word for each in sorted(refs))


def _footprints(
    world: World,
) -> Iterable[tuple[AppWorld, Ref, tuple[BuildId, ...], dict[BuildId, frozenset[Ref]]]]:
    for _, app in sorted(world.apps.items()):
        users = distil(app.deployments.values())
        for deployment in sorted(app.deployments):
            found = footprint(users, deployment)
            yield app, deployment, found.owns, dict(found.shares)
