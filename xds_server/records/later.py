"""Fields that are read and validated now, and act from a later version on."""

from collections.abc import Iterator, Mapping

from xds_server.records.models import AppDeployment, Component, Record
from xds_server.records.values import Model

Later = tuple[tuple[str | int, ...], str]
"""The field's path, and what holds until then."""
LATER: Mapping[type[Model], Mapping[str, str]] = {
    Component: {"image": "Place the build with a Build record"},
}
"""What holds until then, by model and field. Warnings, schemas and `docs/fields.md` are made from it."""


NOTHING: Mapping[str, str] = {}


def not_in_force(record: Record) -> Iterator[Later]:
    """Only what the operator wrote: a default promises nothing."""
    if isinstance(record, AppDeployment):
        for name, component in record.spec.components.items():
            yield from _said(("spec", "components", name), component)
    else:
        yield from _said(("spec",), record.spec)


def _said(path: tuple[str | int, ...], model: Model) -> Iterator[Later]:
    later = LATER.get(type(model), NOTHING)
    if later.keys().isdisjoint(model.model_fields_set):
        return
    for name, until_then in later.items():
        if name in model.model_fields_set and getattr(model, name) is not None:
            yield (*path, as_written(type(model), name)), until_then


def as_written(model: type[Model], name: str) -> str:
    """A field's name in a record."""
    return model.model_fields[name].alias or name
