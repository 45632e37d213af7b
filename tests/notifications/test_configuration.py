import pytest

from xds_server.difference.history import Kind
from xds_server.notifications.configuration import read_configuration
from xds_server.notifications.webhook import Webhook

WHOLE = """
source: https://xds.example.com
webhooks:
  - name: ops
    url: https://hooks.example.com/xds?team=1
    secret: ops.secret
    ca: ca.pem
    kinds: [rolled-back, held]
    releases: [shop, "prod.*"]
  - {name: audit, url: "http://127.0.0.1:9000", secret: /run/secrets/audit}
"""


def test_a_file_names_webhooks() -> None:
    found, problems = read_configuration("hooks.yaml", WHOLE)

    assert problems == []
    assert found is not None
    assert found.source == "https://xds.example.com"
    kinds = frozenset({Kind.ROLLED_BACK, Kind.HELD})
    assert [each.webhook() for each in found.webhooks] == [
        Webhook("ops", "https://hooks.example.com/xds?team=1", "ops.secret", "ca.pem", kinds, ("shop", "prod.*")),
        Webhook("audit", "http://127.0.0.1:9000", "/run/secrets/audit"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("held]", "hold]", "hooks.yaml:8: error: webhooks.0.kinds.1 must be ", id="kind"),
        pytest.param("secret: ops.secret", "secrt: x", "secrt is not a field. Did you mean secret?", id="field"),
        pytest.param("https://hooks", "ftp://hooks", "webhooks.0.url must be the URL of a receiver", id="scheme"),
        pytest.param("https://hooks", "https://me:pass@hooks", "must have neither a user nor a fragment", id="user"),
        pytest.param("hooks.example.com", "hooks.example.com:99999", "must be the URL of a receiver", id="port"),
        pytest.param(
            "name: audit", "name: ops", "two webhooks are called ops. Give each a name of its own", id="twice"
        ),
        pytest.param("name: audit", "name: Audit", "webhooks.1.name must be ", id="name"),
        pytest.param(WHOLE, "webhooks: []", "webhooks must not be empty", id="nobody"),
        pytest.param(WHOLE, "", "the file is not one mapping. Write: webhooks: [{name: ops", id="empty"),
        pytest.param(WHOLE, "- ops", "the file is not one mapping", id="a-list"),
        pytest.param(WHOLE, "a: [", "the file is not YAML", id="no-yaml"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(old: str, new: str, said: str) -> None:
    found, problems = read_configuration("hooks.yaml", WHOLE.replace(old, new))

    assert found is None
    assert said in "\n".join(map(str, problems))
