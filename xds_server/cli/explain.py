"""`xdsctl explain`: what a proxy does with a request, as a tree of reasons."""

from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from xds_server.api.explain import Question
from xds_server.cli.servers import asked
from xds_server.traffic.decisions import Decision, Destination, Instance, Outcome, Step

DECISION = TypeAdapter(Decision)
UNFOLDED = 10_000
"""Columns of a pipe: whoever reads it folds lines, or searches them."""
MARKS = {True: ("+", "bold green"), False: ("-", "dim")}


def ask(server: str, question: Question) -> Decision:
    """What the server with this admin address says."""
    return asked(server, "/explain", DECISION, question.model_dump_json(by_alias=True).encode())


def data(decision: Decision) -> Any:
    return DECISION.dump_python(decision, mode="json")


def print_decision(decision: Decision) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    console.print(Text.assemble((decision.method, "bold"), " ", (decision.url, "bold")))
    place = (
        f"sidecar of {decision.caller}, {decision.listener}"
        if decision.caller
        else f"gateway {decision.gateway}, listener {decision.listener} ({decision.address})"
    )
    tree = Tree(Text(place), guide_style="dim")
    for step in decision.steps:
        tree.add(_step(step))
    for outcome in decision.outcomes:
        _add_outcome(tree, outcome)
    console.print(tree)
    for outcome in decision.outcomes:
        console.print(_summary(outcome))
    if decision.whence:
        console.print(Text(f"rule {decision.outcomes[0].rule}: {decision.whence}", "yellow"))
    for problem in decision.problems:
        console.print(Text(problem, "yellow"))


def _step(step: Step) -> Text:
    return Text.assemble(MARKS[step.matched], " ", (step.what, "bold" if step.matched else "dim"), f": {step.because}")


def _add_outcome(tree: Tree, outcome: Outcome) -> None:
    if outcome.deployment == "-":
        return
    share = "" if outcome.share == 100 else f"{outcome.share:g} % "
    branch = tree.add(Text.assemble(share, "deployment ", (outcome.deployment, "bold")))
    for step in outcome.routes:
        branch.add(_step(step))
    if outcome.destination is not None:
        _add_destination(branch, outcome.destination)


def _add_destination(branch: Tree, destination: Destination) -> None:
    leaf = branch.add(Text(f"cluster {destination.cluster}, build {destination.build}"))
    for each in destination.endpoints:
        leaf.add(_instance(each))
    if not destination.endpoints:
        leaf.add(Text("no endpoint", "red"))


def _instance(instance: Instance) -> Text:
    words = [instance.address]
    words += [f"zone {instance.zone}"] if instance.zone else []
    words += [f"weight {instance.weight}"] if instance.weight != 1 else []
    words += [f"priority {instance.priority}"] if instance.priority else []
    return Text(", ".join([*words, "draining"] if instance.draining else words))


def _summary(outcome: Outcome) -> Text:
    share = "" if outcome.share == 100 else f"{outcome.share:g} %: "
    if outcome.answer is not None:
        place = f" -> {outcome.answer.location}" if outcome.answer.location else ""
        status = f"{outcome.answer.status} " if outcome.answer.status else ""
        words = f"{status}{outcome.answer.reason}{place}: {outcome.answer.message}"
        return Text(f"{share}{words}", "bold red")
    assert outcome.destination is not None
    who = f"{outcome.destination.component} of {outcome.deployment}, by rule {outcome.rule}"
    slot = "" if outcome.slot is None else f", slot {outcome.slot}"
    cookie = f"; sets cookie {outcome.sets_cookie}" if outcome.sets_cookie else ""
    return Text(f"{share}{who}{slot}{cookie}", "bold green")
