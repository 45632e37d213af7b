"""Record `AppDeployment`: one version of an app."""

from typing import Annotated, Literal

from pydantic import Field

from xds_server.records.matches import RouteRule
from xds_server.records.policies import TrafficPolicy
from xds_server.records.record import RecordBase
from xds_server.records.values import Label, Model, Quoted, Text, Word, means


class Component(Model):
    """One component of a deployment: at which build, what a gateway sends to it, whom it calls."""

    build: Annotated[Quoted, means("At which build it is.", "9f1c2d7e", "Cluster.eds_cluster_config.service_name")]
    image: Annotated[
        Text | None, means("What a server that runs builds would start.", "registry.example.com/shop-web@sha256:0f")
    ] = None
    routes: Annotated[
        tuple[RouteRule, ...],
        means(
            "What a gateway sends to it. Absent: nothing, other components may.", [{"pathPrefix": "/"}], "Route.match"
        ),
    ] = ()
    calls: Annotated[
        tuple[Label, ...] | None, means("The components that it calls. Absent: all of them.", ["cart", "reviews"])
    ] = None
    policy: Annotated[TrafficPolicy, means("How requests to it are carried.", {"timeout": "15s"})] = TrafficPolicy()


class AppDeploymentSpec(Model):
    """A complete map from component to build. With `version` it never changes."""

    app: Annotated[Word, means("The app that this is a version of.", "shop")]
    version: Annotated[
        Quoted | None,
        means("Its version, quoted; with one the spec never changes. Absent: a branch deployment that may.", "v2"),
    ] = None
    components: Annotated[
        dict[Label, Component], means("Every component of the app, by name.", {"web": {"build": "9f1c2d7e"}})
    ] = Field(min_length=1)

    @property
    def entries(self) -> tuple[str, ...]:
        """The components that a gateway sends requests to."""
        return tuple(sorted(name for name, component in self.components.items() if component.routes))


class AppDeployment(RecordBase):
    """Record: one version of an app."""

    kind: Literal["AppDeployment"]
    spec: AppDeploymentSpec
