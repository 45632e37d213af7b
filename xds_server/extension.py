"""What an operator's extension imports: `Context`. See docs/extensions.md.

from envoy_data_plane.envoy.config.cluster.v3 import Cluster

from xds_server.extension import Context

def patient(cluster: Cluster, context: Context) -> None:
    cluster.connect_timeout = timedelta(seconds=30)
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Context:
    """Where a resource comes from.

    `kind`, `namespace`, `name` and `annotations` are those of the record that carries the annotation. `gateway` is the
    one whose proxies are told of the resource: `edge`, or `prod.edge` in another namespace; it is empty for clusters
    and assignments, which all gateways share.
    """

    kind: str
    namespace: str
    name: str
    annotations: Mapping[str, str]
    gateway: str
