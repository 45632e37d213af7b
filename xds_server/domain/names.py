"""Every name that Envoy, the ledger and the API see is born here, and nowhere else.

Names are identities: they do not change when records are written in another order (R35).
"""

from collections.abc import Iterator
from typing import NamedTuple

DEFAULT_NAMESPACE = "default"
CONTEXT_HEADER = "x-deployment"
BAGGAGE_KEY = "xds.deployment"
NOT_DELIVERED_HEADER = "x-not-delivered"
"""Of an answer in place of an application that nobody could connect to: between proxies, and seen by nobody else."""

METADATA = "xds-server"
"""Under which Envoy is told what an access log shall say."""
ACCESS_LOG_CLUSTER = "access-log"
"""A gateway's own collector of access logs. Every other cluster of ours has a slash in its name."""

HTTP3 = "_http3"

SENTINEL = "xds-server.invalid"
"""A host that nobody asks for. A listener opens when it has its first virtual host: on demand, it has this one."""

EXPLICIT_RULE = "explicit"
DEFAULT_RULE = "default"
CONTEXT_RULE = "context"
"""A call inside the mesh that names its deployment."""
OWNER_RULE = "owner"
"""A call without a context from a build of one deployment."""
NO_CONTEXT_RULE = "no-context"
"""A call without a context from a build that several deployments share."""
PROBE_RULE = "probe"
"""A path of an instance that is asked for without a context."""


class Ref(NamedTuple):
    """The identity of a record of a known kind: `shop-v2` in namespace `default`, `prod.shop-v2` elsewhere."""

    namespace: str
    name: str

    @property
    def word(self) -> str:
        """The identity as one word, as it is used in contexts, cluster names, the ledger and the API."""
        return self.name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}.{self.name}"


def ref(word: str, namespace: str = DEFAULT_NAMESPACE) -> Ref:
    """Read `shop-v2` (in the namespace of whoever says it) or `prod.shop-v2`."""
    if "." not in word:
        return Ref(namespace, word)
    place, _, name = word.rpartition(".")
    return Ref(place, name)


def record_id(kind: str, who: Ref) -> str:
    return f"{kind}/{who.namespace}/{who.name}"


def cluster(deployment: Ref, component: str) -> str:
    """One cluster per deployment and component: versions share endpoints but not counters."""
    return f"{deployment.word}/{component}"


def cluster_stat(cluster_name: str) -> str:
    """A dot in a cluster name would corrupt Envoy's stat names. `_` is in no DNS label, so this is unique."""
    return cluster_name.replace(".", "_")


def route_stat(rule: str, deployment: Ref, component: str) -> str:
    """Under which a sidecar's Envoy counts the requests that reach a component of a deployment by a rule."""
    return cluster_stat(f"{rule}/{cluster(deployment, component)}")


def rule_stat(rule: str) -> str:
    """Under which a gateway's Envoy counts them, within the cluster. `gateway.lua` says it of each request; the slash
    keeps it apart from Envoy's own `internal`, `canary` and so on, which an audience may be called too.
    """
    return f"rule/{rule}"


def endpoints(app: Ref, component: str, build: str) -> str:
    """The EDS name of a build, with its full hash."""
    return f"{app.word}/{component}@{build}"


def listener(gateway: Ref, name: str) -> str:
    """The name of a listener and of its route configuration."""
    return f"{gateway.word}/{name}"


def http3_listener(gateway: Ref, name: str) -> str:
    """The listener beside it that takes HTTP/3. `_` is in no name of a record, so it is nobody else's."""
    return f"{gateway.word}/{name}{HTTP3}"


def owner(name: str) -> tuple[Ref, str]:
    """Of the name of a cluster, a listener or a gateway's secret: whose it is, and which of theirs."""
    word, _, own = name.partition("/")
    return ref(word), own.removesuffix(HTTP3)


def outbound(build: str) -> str:
    """The listener beside a build for what it calls, and its route configuration. `build` is its EDS name."""
    return f"{build}/outbound"


def inbound(build: str) -> str:
    """The listener beside a build for who calls it, and its route configuration."""
    return f"{build}/inbound"


def application(build: str) -> str:
    """The cluster of the one instance that a sidecar is beside."""
    return f"{build}/application"


def secret(gateway: Ref, name: str) -> str:
    """A certificate with its key that a gateway's listeners show; `name` is the gateway's own for it."""
    return f"{gateway.word}/{name}"


def trust(build: Ref) -> str:
    """The authorities that sign the instances which a `Build` record places."""
    return f"build/{build.word}/ca"


def identity(build: Ref) -> str:
    """The certificate with its key that is shown to the instances which a `Build` record places."""
    return f"build/{build.word}/client"


def virtual_host(listener_name: str, host: str) -> str:
    return f"{listener_name}/{host}"


def wildcards_over(virtual_host_name: str) -> Iterator[str]:
    """The wildcards that a virtual host may be under, the closest first: `edge/http/*.b.test` of `edge/http/a.b.test`.

    There is something in front of the wildcard's dot.
    """
    listener_name, _, host = virtual_host_name.rpartition("/")
    dot = host.find(".", 1)
    while dot > 0:
        wildcard = virtual_host(listener_name, f"*{host[dot:]}")
        if wildcard != virtual_host_name:
            yield wildcard
        dot = host.find(".", dot + 1)


def route(rule: str, deployment: Ref, route_id: str) -> str:
    """The name of a route, as access logs print it: which rule, which deployment, which of its routes."""
    return f"{rule}/{deployment.word}/{route_id}"
