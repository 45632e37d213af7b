"""The routes of a deployment in their total order.

An exact path, then a regex (longer first), then a prefix (longer first); then rules with methods, with more headers,
with more query conditions; then by component name and place in its list. The order in which a record is written
changes nothing but the last of these.
"""

from xds_server.records.models import AppDeployment
from xds_server.traffic.intents import DeploymentRoutes, RouteIntent


def deployment_routes(deployment: AppDeployment) -> DeploymentRoutes:
    intents = [
        RouteIntent(f"{name}.{index}", rule, name, component.policy)
        for name, component in sorted(deployment.spec.components.items())
        for index, rule in enumerate(component.routes)
    ]
    return DeploymentRoutes(deployment.ref, tuple(sorted(intents, key=lambda intent: intent.rule.precedence)))
