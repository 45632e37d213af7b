"""`manifests/schema` is what the models say, and an editor that uses it marks what a server would refuse."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field as FieldOf
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from tests.records.folder import SHOP
from xds_server.messages import envoy, extensions, xds
from xds_server.messages.bridge import POOL, Bridge
from xds_server.records import yaml
from xds_server.records.documents import read_documents
from xds_server.records.models import KINDS
from xds_server.records.schema import ENVOY, described, schema, written
from xds_server.records.values import Model, duration_text

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "schema"
MISTAKES = Path(__file__).parent / "mistakes"
UNDESCRIBED = {f"xds_server.records.{name}" for name in ("builds", "deployments")}
ANY = Draft202012Validator(schema())

Field = tuple[type[Model], str, FieldInfo]


def models(parent: type[Model] = Model) -> Iterator[type[Model]]:
    for each in parent.__subclasses__():
        yield each
        yield from models(each)


def all_fields() -> list[Any]:
    found = sorted({each for each in models() if each.__module__.startswith("xds_server.records")}, key=str)
    return [
        pytest.param((model, name, field), id=f"{model.__name__}.{field.alias or name}")
        for model in found
        for name, field in model.model_fields.items()
        if model.__module__ not in UNDESCRIBED and model.__name__ != "RecordBase"
    ]


FIELDS = all_fields()


def adapter(info: FieldInfo) -> TypeAdapter[Any]:
    """What a field of a model takes."""
    taken: Any = Annotated[info.annotation, FieldOf(), *info.metadata]
    return TypeAdapter(taken)


def test_the_folder_is_what_is_generated(update_golden: bool) -> None:
    generated = {f"{kind.lower() or 'records'}.json": _text(schema(kind)) for kind in ("", *KINDS)}
    if update_golden:
        FOLDER.mkdir(exist_ok=True)
        for name, text in generated.items():
            (FOLDER / name).write_text(text, "utf-8")

    found = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir()}
    assert found == generated, "run pytest --update-golden and read the diff"


def _text(said: Any) -> str:
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("kind", ["", *KINDS])
def test_every_schema_is_one(kind: str) -> None:
    Draft202012Validator.check_schema(schema(kind))


# --- what is said of each field


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_says_what_it_means_with_an_example_that_is_taken(field: Field) -> None:
    _, _, info = field
    assert info.description, "write means(...)"
    assert info.description.endswith((".", "?"))

    for example in info.examples or ():
        adapter(info).validate_python(example)
    assert info.examples


@pytest.mark.parametrize("field", FIELDS)
def test_every_example_is_taken_by_the_schema(field: Field) -> None:
    model, name, info = field
    definitions = described()
    said = definitions[model.__name__]["properties"][info.alias or name]

    for example in said["examples"]:
        Draft202012Validator({**said, "$defs": definitions}).validate(example)


@pytest.mark.parametrize("field", FIELDS)
def test_a_default_is_shown_as_it_would_be_written(field: Field) -> None:
    _, _, info = field
    default = info.get_default(call_default_factory=True)
    if info.is_required() or default is None:
        return

    taken = adapter(info).validate_python(written(default))

    assert taken == default


def envoy_fields() -> list[str]:
    properties = (said for each in described().values() for said in each.get("properties", {}).values())
    return sorted({name for said in properties if said.get(ENVOY) for name in said[ENVOY].split(", ")})


@pytest.mark.parametrize("field", envoy_fields())
def test_every_envoy_field_is_one_of_its_api(field: str) -> None:
    message = re.match(r"[A-Z]\w*(?:\.[A-Z]\w*)*", field)
    assert message, "begin with a message, such as Cluster.connect_timeout"
    path = field.removeprefix(f"{message[0]}.").split(".")

    assert any(_leads_on(found, path) for found in _messages(message[0]))


def _messages(name: str) -> Iterator[Any]:
    """Messages that we build, or that are nested in one, by the end of their names."""
    first = name.partition(".")[0]
    for module in (envoy, extensions, xds):
        for each in vars(module).values():
            if isinstance(each, Bridge) and f".{first}." in f".{each.full_name}.":
                whole = each.full_name.partition(f".{first}")[0] + f".{name}"
                yield POOL.FindMessageTypeByName(whole)


def _leads_on(message: Any, path: list[str]) -> bool:
    field = message.fields_by_name.get(path[0])
    if field is None:
        return False
    return len(path) == 1 or (field.message_type is not None and _leads_on(field.message_type, path[1:]))


# --- documents


def good_documents() -> Iterator[Any]:
    files = [*ROOT.glob("manifests/*/*.yaml"), *ROOT.glob("tests/cases/*/*.yaml")]
    for file in sorted(files):
        yield from _good(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    for name, text in SHOP.items():
        yield from _good(name, text)


def _good(name: str, text: str) -> Iterator[Any]:
    for number, (node, read) in enumerate(zip(yaml.documents(text), read_documents(name, text), strict=True)):
        if read.record is not None:
            yield pytest.param(yaml.value(node), id=f"{name}-{number}")


@pytest.mark.parametrize("document", list(good_documents()))
def test_what_a_server_takes_every_schema_takes(document: Any) -> None:
    ANY.validate(document)
    Draft202012Validator(schema(document["kind"])).validate(document)


def structural_faults() -> Iterator[Any]:
    for file in sorted(MISTAKES.iterdir()):
        text = file.read_text("utf-8")
        for number, (node, read) in enumerate(zip(yaml.documents(text), read_documents(file.name, text), strict=True)):
            if read.record is None and not any(_is_beyond(each.what) for each in read.problems):
                yield pytest.param(yaml.value(node), id=f"{file.stem}-{number}")


BEYOND = (
    "weights that sum",
    "weight for each",
    "twice",
    "differ in name",
    "steps must rise",
    "a gate waits",
    "waits for a verdict",
    "a guard judges",
    "which means",
    "names the secret",
    "exactly one listener",
    "the document has",
)
"""What needs more than one field to be looked at, a list of names, or a tag: no schema of ours says it."""


def _is_beyond(what: str) -> bool:
    return any(words in what for words in BEYOND)


@pytest.mark.parametrize("document", list(structural_faults()))
def test_what_is_wrong_in_its_structure_every_schema_refuses(document: Any) -> None:
    assert not ANY.is_valid(document)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        pytest.param({"sticky": {"cookie": "a", "header": "b"}}, "spec.sticky", id="two-of-one"),
        pytest.param(
            {"policy": {"activationDeadline": "5 minutes"}}, "spec.policy.activationDeadline", id="a-duration"
        ),
        pytest.param({"hosts": ["Shop.example.com"]}, "spec.hosts.0", id="a-host"),
        pytest.param({"hostss": ["a"]}, "spec", id="a-field-that-is-none"),
        pytest.param({"default": [{"deployment": "a", "weight": 101}]}, "spec.default.0.weight", id="a-weight"),
        pytest.param({"default": []}, "spec.default", id="hosts-without-a-default"),
        pytest.param({"app": 7}, "spec.app", id="a-number"),
        pytest.param({"audiences": [{"name": "a", "deployment": "b"}]}, "spec.audiences.0", id="an-audience-of-nobody"),
    ],
)
def test_a_mistake_is_marked_where_it_is(document: dict[str, Any], path: str) -> None:
    spec = {"app": "shop", "gateways": ["edge"], "hosts": ["a.test"], "default": [{"deployment": "v1"}]}
    head = {"apiVersion": "xds-server.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"}}

    errors = list(ANY.iter_errors({**head, "spec": spec | document}))

    assert {".".join(map(str, error.absolute_path)) for error in errors} == {path}


@pytest.mark.parametrize("text", ["0s", "500ms", "15s", "5m", "1h30m", "365d", "1d2h3m4s5ms"])
def test_a_duration_is_written_in_its_largest_units(text: str) -> None:
    taken = read_documents("a", f"{APP}{{drain: {text}}}")[0].record

    assert duration_text(taken.spec.drain) == text  # type: ignore[union-attr]


APP = "apiVersion: xds-server.dev/v1alpha1\nkind: App\nmetadata: {name: a}\nspec: "


def test_the_longest_units_come_first() -> None:
    assert duration_text(timedelta(seconds=300)) == "5m"
    assert duration_text(timedelta(hours=24)) == "1d"
