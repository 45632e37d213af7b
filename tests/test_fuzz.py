"""No text makes the road fail, whatever it says: what is wrong is a problem. `make fuzz` tries for longer."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.models import Said, replaced
from tests.fuzz.road import admitted, travelled
from tests.fuzz.values import JUNK
from tests.fuzz.worlds import text_of, worlds
from xds_server.records.models import KINDS, AppDeployment, Build, BuildSpec, TrafficPolicy

ROOT = Path(__file__).parent.parent
SIZE = 1 << 16
bounded = settings(
    max_examples=30, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_any_world_travels_the_road_and_is_mostly_accepted():
    """A world that is refused would prove little, and so would one that says nothing of how requests are carried."""
    said: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    carried: set[str] = set()

    @settings(bounded, phases=[Phase.generate, Phase.shrink])
    @given(worlds())
    def travel(world: list[Said]) -> None:
        admission = admitted(text_of(world))
        travelled(admission)
        said.update(each["kind"] for each in world)
        taken.update(key.kind for key in admission.in_force)
        for each in admission.in_force.values():
            match each.record:
                case AppDeployment(spec=spec):
                    policies = [component.policy for component in spec.components.values()]
                    carried.update(field for policy in policies for field in policy.model_fields_set)
                case Build(spec=spec):
                    carried.update((*spec.model_fields_set, *spec.endpoints.model_fields_set))
                case _:
                    pass

    travel()
    assert {*TrafficPolicy.model_fields, *BuildSpec.model_fields, "addresses", "dns"} <= carried
    assert {kind: taken[kind] > said[kind] / 4 for kind in KINDS} == dict.fromkeys(KINDS, True)


def paths(said: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    pairs = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    return [here, *(path for step, inner in pairs for path in paths(inner, (*here, step)))]


@bounded
@given(worlds(), JUNK, st.randoms(use_true_random=False))
def test_anything_in_the_place_of_any_field_is_a_problem_or_is_taken(world: list[Said], junk: Any, dice: random.Random):
    index = dice.randrange(len(world))
    path = dice.choice(paths(world[index]))
    broken = [*world[:index], replaced(world[index], path, junk), *world[index + 1 :]]

    travelled(admitted(text_of(broken)))


def test_bytes_that_reach_new_code_are_problems_or_are_taken(tmp_path: Path):
    pytest.importorskip("atheris", reason="has no wheel for this Python")
    command: list[str | Path] = [sys.executable, "-m", "tests.fuzz.texts", tmp_path, "-runs=600", "-seed=1"]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=120)
    output = run.stderr.decode(errors="replace")

    assert run.returncode == 0, output[-4000:]
    assert "Done 600 runs" in output


def filled(unit: str, before: str = "", after: str = "") -> str:
    return before + unit * ((SIZE - len(before) - len(after)) // len(unit)) + after


def numbered(line: str) -> str:
    return "".join(line.format(n) for n in range(SIZE // len(line.format(10_000))))


def in_field(field: str, value: str) -> str:
    return (
        f"apiVersion: xds-server.dev/v1alpha1\nkind: AppDeployment\nmetadata: {{name: a}}\nspec: {{{field}: {value}}}"
    )


LARGE = {
    "aliases-of-a-list": filled("*a,", "a: &a [x, x, x, x, x, x, x, x]\nb: [", "]"),
    "aliases-within-aliases": "a0: &a0 [x]\n" + numbered("a{0}: &a{0} [*a0, *a0]\n"),
    "aliases-doubled": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 2000)),
    "anchors": numbered("- &a{0} x\n"),
    "brackets": filled("["),
    "braces": filled("{a: "),
    "dashes": filled("- "),
    "questions": filled("? "),
    "keys": numbered("k{0}: x\n"),
    "one-key-again-and-again": filled("k: x\n"),
    "documents": filled("---\na\n"),
    "empty-documents": filled("---\n"),
    "documents-that-are-almost-records": filled("---\nkind: Releas\n"),
    "records-of-nothing": filled("---\n{apiVersion: xds-server.dev/v1alpha1, kind: App, metadata: {name: a}}\n"),
    "digits": in_field("app", filled("9")),
    "a-float": in_field("app", filled("9", "1.")),
    "an-exponent": in_field("app", "1e" + filled("9")),
    "a-word": in_field("app", filled("a")),
    "a-quoted-word": in_field("app", filled("\\u0041", '"', '"')),
    "unknown-fields": in_field("a", "{" + numbered("f{0}: 1, ") + "}"),
    "components": in_field("app: a, components", "{" + numbered("c{0}: {{}}, ") + "}"),
    "components-of-nothing": in_field("app: a, components", filled("'': {}, ", "{", "}")),
    "routes": in_field("app: a, components", filled("{path: x}, ", "{web: {build: b, routes: [", "]}}")),
    "regexes": in_field(
        "app: a, components", filled("{pathRegex: '(a{1,1000}'}, ", "{web: {build: b, routes: [", "]}}")
    ),
    "one-regex": in_field("app: a, components", filled("(a|", "{web: {build: b, routes: [{pathRegex: '", "'}]}}")),
    "comments": filled("#\n"),
    "line-breaks": filled("\n"),
    "tags": filled("!!a "),
    "directives": filled("%TAG ! a\n"),
    "tabs": filled("\t"),
    "characters": filled("😀", "a: ")[: SIZE // 4],
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_64_kilobytes_cost_less_than_a_second_of_work(text: str):
    before = time.process_time()
    travelled(admitted(text))

    assert time.process_time() - before < 1
