"""An extension that uses what the oldest supported Envoy does not know and drops in silence."""

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.config.route.v3 import CookieMatcher, DirectResponseAction, Route, RouteMatch, VirtualHost
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from xds_server.extension import Context


def insiders(host: VirtualHost, _context: Context) -> None:
    """Who has the cookie `insider=yes` is answered `inside`, everybody else `outside`."""
    host.matcher = None
    cookie = CookieMatcher(name="insider", string_match=StringMatcher(exact="yes"))
    host.routes = [
        Route(match=RouteMatch(prefix="/", cookies=[cookie]), direct_response=_says("inside")),
        Route(match=RouteMatch(prefix="/"), direct_response=_says("outside")),
    ]


def _says(text: str) -> DirectResponseAction:
    return DirectResponseAction(status=200, body=DataSource(inline_string=text))
