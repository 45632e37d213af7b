"""The file of `--webhooks`: who is told of releases."""

from collections.abc import Iterable, Iterator
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError

from xds_server.difference.history import Kind
from xds_server.domain.problems import Place, Problem, Reason
from xds_server.notifications.webhook import Webhook
from xds_server.records import yaml
from xds_server.records.faults import faults
from xds_server.records.values import Label, Model, Text
from xds_server.records.yaml import YamlFault

SCHEMES = ("https", "http")
EXAMPLE = """Write: webhooks: [{name: ops, url: "https://hooks.example.com/xds", secret: ops.secret}]"""


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        said = (parts.scheme in SCHEMES and bool(parts.hostname), parts.port)
    except ValueError:
        said = (False, None)
    if not said[0] or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be the URL of a receiver, such as https://hooks.example.com/xds")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("must have neither a user nor a fragment: what is sent is signed with `secret`")
    return text


class WebhookSpec(Model):
    """One of them, as it is written."""

    name: Label
    url: Annotated[Text, AfterValidator(_url)]
    secret: Annotated[Text, Field(min_length=1)]
    ca: Text = ""
    kinds: tuple[Kind, ...] = ()
    releases: tuple[Annotated[Text, Field(min_length=1)], ...] = ()

    def webhook(self) -> Webhook:
        return Webhook(self.name, self.url, self.secret, self.ca, frozenset(self.kinds), self.releases)


class Configuration(Model):
    """`source`: what messages say that they are from; empty: the name of the machine."""

    webhooks: Annotated[tuple[WebhookSpec, ...], Field(min_length=1)]
    source: Text = ""


def read_configuration(file: str, text: str) -> tuple[Configuration | None, list[Problem]]:
    """What a file says, or what is wrong with it."""
    place = Place(file)
    try:
        nodes = list(yaml.documents(text))
        values = [yaml.value(each) for each in nodes]
    except YamlFault as fault:
        return None, [Problem(Place(file, line=fault.line), Reason.MALFORMED, f"the file {fault.what}", EXAMPLE)]
    if len(nodes) != 1 or not isinstance(values[0], dict):
        return None, [Problem(place, Reason.MALFORMED, "the file is not one mapping", EXAMPLE)]
    try:
        found = Configuration.model_validate(values[0])
    except ValidationError as failed:
        return None, list(faults(place, nodes[0], "", failed, Configuration))
    twice = [_twice(file, each) for each in _repeated(each.name for each in found.webhooks)]
    return (None, twice) if twice else (found, [])


def _repeated(names: Iterable[str]) -> Iterator[str]:
    seen = set[str]()
    for each in names:
        if each in seen:
            yield each
        seen.add(each)


def _twice(file: str, name: str) -> Problem:
    what = f"two webhooks are called {name}"
    return Problem(Place(file, path="webhooks"), Reason.INVALID_FIELD, what, "Give each a name of its own")
