"""Fields that are read and validated now, and act from a later version on."""

from collections.abc import Iterator

from xds_server.records.models import App, AppDeployment, Build, Gateway, Record, Release

Later = tuple[tuple[str | int, ...], str]
"""The field's path, and what holds until then."""


def not_in_force(record: Record) -> Iterator[Later]:
    """Only what the operator wrote: a default promises nothing."""
    match record:
        case AppDeployment():
            yield from _deployment(record)
        case Release():
            yield from _release(record)
        case App():
            for name in sorted(record.spec.model_fields_set):
                yield ("spec", type(record.spec).model_fields[name].alias or name), "Nothing reads it until sidecars do"
        case Gateway():
            pass
        case Build():
            pass


def _deployment(record: AppDeployment) -> Iterator[Later]:
    for name, component in record.spec.components.items():
        if "calls" in component.model_fields_set:
            yield ("spec", "components", name, "calls"), "Nothing reads it until sidecars do"
        if component.image is not None:
            yield ("spec", "components", name, "image"), "Place the build with a Build record"


def _release(record: Release) -> Iterator[Later]:
    if record.spec.rollout is not None:
        yield ("spec", "rollout"), "The record's weights are used"
    if "policy" in record.spec.model_fields_set:
        yield ("spec", "policy"), "A release is active as soon as it is accepted"
