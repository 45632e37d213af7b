"""`xdsctl describe` of a server that knows everything, and of a folder."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.answering import answering
from tests.conftest import Golden
from tests.records.folder import shop_in
from xds_server.api.descriptions import (
    AudienceReport,
    ComponentReport,
    DeploymentReport,
    Description,
    LedgerReport,
    PinReport,
)
from xds_server.api.problems import ProblemReport
from xds_server.api.release_reports import EntryReport, ProxyReport
from xds_server.api.rollouts import RolloutReport, VerdictReport
from xds_server.api.steering import EventReport
from xds_server.api.traffic import ShareReport
from xds_server.cli.ctl import app
from xds_server.difference.statuses import Status
from xds_server.domain.problems import Reason, Severity
from xds_server.ledger.entry import ProxyState, State

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHARE = ShareReport(deployment="shop-v2", requests=90, actual=0.09, set=0.2, probability=1e-5, unlikely=True)
WEB = ComponentReport(component="web", build="9f1c", entry=True, shared_with=(), endpoints=2, healthy=1)
CART = ComponentReport(component="cart", build="77aa", entry=False, shared_with=("shop-v1",), endpoints=1, healthy=None)
MAIL = ComponentReport(component="mail", build="ab01", entry=False, shared_with=(), endpoints=None, healthy=None)
DEPLOYMENT = DeploymentReport(
    deployment="shop-v2",
    version="v2",
    status="Ready",
    because="",
    set=20,
    share=SHARE,
    audiences=("acme",),
    components=(CART, MAIL, WEB),
)
OTHERS = (
    DEPLOYMENT.model_copy(
        update={
            "deployment": "shop-v1",
            "set": 80.0,
            "share": SHARE.model_copy(update={"requests": 910, "actual": 0.91, "unlikely": False}),
            "audiences": (),
            "components": (),
        }
    ),
    DEPLOYMENT.model_copy(
        update={
            "deployment": "shop-v3",
            "set": None,
            "share": None,
            "audiences": ("vip",),
            "components": (),
            "status": "Missing",
            "because": "app shop has no such deployment in force",
        }
    ),
)
AUDIENCE = AudienceReport(
    name="acme",
    deployment="shop-v2",
    hosts=("acme.test",),
    matches=True,
    why="UAT",
    until=NOON,
    ended=True,
    requests=7,
)
ROLLOUT = RolloutReport(
    release="shop",
    deployment="shop-v2",
    step=2,
    steps=("5 % for 20m", "20 % until it is safe", "100 %"),
    share=20,
    stayed=90,
    ended=None,
    held="evidence",
    because="not known to be safe",
    until=NOON,
    verdicts=(
        VerdictReport(cohort="default", guard="errors", verdict="unknown", because="1 of 90", missing=1900),
        VerdictReport(cohort="acme", guard="errors", verdict="safe", because="0 of 7", missing=0),
    ),
)
PROBLEM = ProblemReport(
    file="shop.yaml",
    document=1,
    line=9,
    path="spec",
    record="Release/default/shop",
    severity=Severity.WARNING,
    reason=Reason.SHADOWED_RULE,
    what="a rule is never met",
    fix="Move it",
)
ENTRY = EntryReport(
    number=1,
    release="shop",
    content="0123456789abcdef",
    state=State.REFUSED,
    status="1 of 2 accepted, 1 refused: no",
    refusal="",
    counts={},
    accepted=datetime.max.replace(tzinfo=UTC),
    first_ack=None,
    last_ack=None,
    live=None,
    ended=None,
    proxies=(ProxyReport(proxy="edge-2", gateway="edge", state=ProxyState.REFUSED, why="no"),),
)
EVENT = EventReport(release="shop", at=NOON, who="ada", why="it fails", what="pinned", before={}, after={})
FOUND = Description(
    release="shop",
    app="shop",
    gateways=("edge",),
    hosts=("acme.test", "shop.test"),
    status=Status.HOLDING,
    because="not known to be safe",
    sticky=False,
    accepted=NOON,
    seconds=3600,
    deployments=(DEPLOYMENT, *OTHERS),
    audiences=(AUDIENCE,),
    rollout=ROLLOUT,
    pin=PinReport(at=NOON, who="ada", why="it fails"),
    problems=(PROBLEM,),
    ledger=LedgerReport(current=ENTRY, refused="shop.yaml:9: error"),
    history=(EVENT,),
)


def described(found: Description, *words: str) -> str:
    with answering(200, found.model_dump_json(by_alias=True).encode()) as server:
        result = CliRunner().invoke(app, ["describe", "shop", *words, "--server", server])
    assert result.exit_code == 0, result.output
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


def test_everything_is_one_tree(golden: Golden) -> None:
    golden.check("output.txt", described(FOUND))


def test_a_rollout_that_has_ended_is_at_no_step() -> None:
    ended = ROLLOUT.model_copy(update={"ended": "rolled back", "because": "errors: 9 of 90", "until": None})
    printed = described(FOUND.model_copy(update={"rollout": ended}))
    assert "rolled back: errors: 9 of 90\n" in printed
    assert ("now  " in printed, "rolled back  20 %" in printed, "never  100 %" in printed) == (False, True, True)
    finished = described(
        FOUND.model_copy(update={"rollout": ended.model_copy(update={"ended": "finished", "step": 3})})
    )
    assert "done  100 %\n" in finished


def test_where_nobody_looks_a_watched_one_is_printed_once(golden: Golden) -> None:
    assert described(FOUND, "-w") == described(FOUND)


def test_as_data_it_is_what_the_server_says() -> None:
    assert json.loads(described(FOUND, "-o", "json")) == FOUND.model_dump(mode="json", by_alias=True)


def test_what_there_is_nothing_to_say_of_is_left_out() -> None:
    gone = FOUND.model_copy(
        update={
            "status": Status.SUPERSEDED,
            "because": "it is not in force any more",
            "app": "",
            "rollout": None,
            "deployments": (),
            "audiences": (),
            "pin": None,
            "problems": (),
            "history": (),
            "ledger": LedgerReport(current=None, refused=""),
        }
    )
    assert described(gone) == "shop  Superseded  it is not in force any more\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none", "{}"], 1, "there is no Release 'none' in"),
        (["shop", "{}", "-w"], 2, "write DIR or -w, not both"),
        (["shop", "{}", "--server", "127.0.0.1:1"], 2, "write DIR or --server, not both"),
        (["shop", "--server", "127.0.0.1:1"], 1, "does not answer"),
    ],
    ids=["no such name", "a folder is not watched", "both", "no server"],
)
def test_what_cannot_be_described_is_said(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    folder = shop_in(tmp_path)
    result = CliRunner().invoke(app, ["describe", *(each.format(folder) for each in words)])
    assert (result.exit_code, said in " ".join(result.stderr.replace("│", " ").split())) == (code, True)
