"""The identity of a build: a component of an app at one content hash."""

from typing import NamedTuple

from xds_server.domain.names import Ref, endpoints


class BuildId(NamedTuple):
    """Equal builds are one, whoever names them."""

    app: Ref
    component: str
    build: str

    @property
    def word(self) -> str:
        """As Envoy (its EDS name) and people see it: `shop/web@9f1c2d7e`."""
        return endpoints(self.app, self.component, self.build)
