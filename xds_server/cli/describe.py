"""`xdsctl describe`: one release as a tree."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter
from rich.text import Text
from rich.tree import Tree

from xds_server.api.descriptions import (
    AudienceReport,
    ComponentReport,
    DeploymentReport,
    Description,
    PinReport,
    Seen,
    described,
    release_of,
)
from xds_server.api.problems import ProblemReport
from xds_server.api.rollouts import RolloutReport
from xds_server.cli.rolling import because, verdicts, way_on
from xds_server.cli.screen import console, show
from xds_server.cli.servers import NoAnswer, asked
from xds_server.cli.steering import lines
from xds_server.cli.words import ago, count
from xds_server.difference.inventory import READY
from xds_server.difference.statuses import Status
from xds_server.domain.names import ref
from xds_server.domain.problems import Severity
from xds_server.ledger.content import short

DESCRIPTION = TypeAdapter(Description)
COLOURS = {
    Status.ACTIVE: "green",
    Status.PROGRESSING: "cyan",
    Status.HOLDING: "yellow",
    Status.PENDING: "yellow",
    Status.ROLLED_BACK: "red",
    Status.FAILED: "red",
}


def in_force(server: str, release: str) -> Description:
    """Raises `NoAnswer`."""
    return asked(server, f"/releases/{quote(release)}/describe", DESCRIPTION)


def said(folder: Path, release: str) -> Description:
    """What the records of a folder say. Raises `NoAnswer`."""
    from xds_server.cli.folders import admitted  # who asks a server need not wait for what reads records

    admission, name = admitted(folder), ref(release)
    if release_of(admission, name) is None:
        raise NoAnswer(f"there is no Release {release!r} in {folder}")
    return described(admission, name, Seen(problems=admission.problems))


def data(found: Description) -> Any:
    return found.model_dump(mode="json", by_alias=True)


def print_description(found: Description) -> None:
    console().print(tree(found))


def watch(server: str, release: str) -> None:
    show(lambda: in_force(server, release), tree)


def tree(found: Description) -> Tree:
    root = Tree(Text.assemble((found.release, "bold"), "  ", (found.status, COLOURS.get(found.status, ""))))
    root.label = Text.assemble(root.label if isinstance(root.label, Text) else "", f"  {found.because}".rstrip())
    if found.app:
        root.add(Text(f"app {found.app}, at {', '.join(found.gateways)}: {', '.join(found.hosts)}"))
    _branch(root, "deployments", map(_deployment, found.deployments))
    if found.said:
        root.add(Text(f"its record says {', '.join(f'{each} {share:.9g} %' for each, share in found.said.items())}"))
    _branch(root, "audiences", (Tree(Text(_audience(each, found.seconds))) for each in found.audiences))
    if found.rollout is not None:
        _branch(root, f"rollout of {found.rollout.deployment}", map(Tree, map(Text, _rollout(found.rollout))))
    if found.pin is not None:
        root.add(Text(f"pinned {_pinned(found.pin)}", "red"))
    _branch(root, "problems", (Tree(_problem(each)) for each in found.problems))
    _branch(root, "ledger", map(Tree, map(Text, _ledger(found))))
    _branch(root, "history", map(Tree, map(Text, lines(list(found.history)))))
    return root


def _pinned(pin: PinReport) -> str:
    return f"since {pin.at:%Y-%m-%d %H:%M:%SZ} by {pin.who}: {pin.why}"


def _branch(root: Tree, name: str, leaves: Iterable[Tree]) -> None:
    """Left out where there is nothing to say."""
    found = list(leaves)
    if found:
        root.add(Text(name, "bold")).children.extend(found)


def _deployment(found: DeploymentReport) -> Tree:
    share = found.share
    status = (found.status, "green" if found.status == READY else "yellow")
    because = f" ({found.because})" if found.because else ""
    parts = [f"audiences {', '.join(found.audiences)}" if found.audiences else "", _share(found)]
    words = "  ".join(filter(None, parts))
    odd = share is not None and share.unlikely
    label = Text.assemble(found.deployment, "  ", status, because, "  ", (words, "yellow" if odd else ""))
    branch = Tree(label)
    for each in found.components:
        branch.add(Text(_component(each)))
    return branch


def _share(found: DeploymentReport) -> str:
    if found.set is None:
        return ""
    said, share = f"set {found.set:.9g} %", found.share
    if share is None:
        return said
    words = f"{said}, had {share.actual * 100:.2f} % ({count(share.requests, 'request')})"
    if share.unlikely:
        return f"{words}; warning: by chance this happens in one of {1 / max(share.probability, 1e-9):,.0f} cases"
    return words


def _component(found: ComponentReport) -> str:
    shared = f"shared with {', '.join(found.shared_with)}" if found.shared_with else "only here"
    there = "by DNS" if found.endpoints is None else count(found.endpoints, "endpoint")
    healthy = there if found.healthy is None else f"{found.healthy} of {there} healthy"
    entry = ", users ask for it" if found.entry else ""
    return f"{found.component}  {found.build}  {healthy}, {shared}{entry}"


def _audience(found: AudienceReport, seconds: float) -> str:
    who = [f"on {', '.join(found.hosts)}" if found.hosts else "", "with a match" if found.matches else ""]
    until = "" if found.until is None else f"until {found.until:%Y-%m-%d %H:%M:%SZ}"
    requests = "" if found.requests is None else f"{count(found.requests, 'request')} in {seconds / 60:.0f} min"
    moved = "" if found.moved is None else f"moved {_pinned(found.moved)}"
    said = [*who, f"{until}, which is over" if found.ended else until, requests, found.why, moved]
    return f"{found.name} -> {found.deployment}: {', '.join(filter(None, said))}"


def _rollout(found: RolloutReport) -> Iterator[str]:
    here = {None: "now", "finished": "done"}.get(found.ended, found.ended)
    rest = "later" if found.ended is None else "never"
    for number, step in enumerate(found.steps, 1):
        stayed = f", for {found.stayed:.0f} s" if number == found.step and found.ended is None else ""
        yield f"{'done' if number < found.step else here if number == found.step else rest}  {step}{stayed}"
    held = "held: " if found.held else ""
    yield f"{f'{found.ended}: ' if found.ended else held}{because(found)}"
    yield from verdicts(found)
    yield from way_on(found)


def _problem(found: ProblemReport) -> Text:
    colour = "red" if found.severity is Severity.ERROR else "yellow"
    place = f"{found.file}:{found.line}" if found.line else found.file
    return Text.assemble((f"{found.severity}", colour), f": {found.record}: {found.what} [{found.reason}] ({place})")


def _ledger(found: Description) -> Iterator[str]:
    current = found.ledger.current
    if current is not None:
        since = f"content {short(current.content)}, in force for {ago(current.accepted)}"
        yield f"{current.state}: {current.status} ({since})"
        yield from (f"{each.proxy}: {each.state}{f': {each.why}' if each.why else ''}" for each in current.proxies)
