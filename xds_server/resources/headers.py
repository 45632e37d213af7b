"""Headers that a route puts on a request or an answer."""

from xds_server.messages.envoy import HeaderValue, HeaderValueOption, HeaderValueOptionHeaderAppendAction

OVERWRITE = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
APPEND = HeaderValueOptionHeaderAppendAction.APPEND_IF_EXISTS_OR_ADD


def header(name: str, value: str) -> HeaderValueOption:
    """Put a header in place of any that came. `%` is Envoy's, so it is doubled."""
    return HeaderValueOption(header=HeaderValue(key=name, value=value.replace("%", "%%")), append_action=OVERWRITE)
