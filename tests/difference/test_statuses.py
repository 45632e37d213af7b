from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import pytest

from tests.records.folder import NOON, SHOP, Server, release
from xds_server.difference.statuses import RolloutSaid, Status, StatusSaid, status_of, untold
from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem
from xds_server.records.admission import pinned
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.pins import Pin

SHOP_REF, V1 = Ref("default", "shop"), Ref("default", "v1")
KEY = Key("Release", SHOP_REF)


@pytest.fixture
def shop() -> Admission:
    return Server(SHOP).admission


class Waits(StrEnum):
    """Why what is wanted of a release waits."""

    PENDING = "Pending"
    FAILED = "ActivationFailed"


def held(admission: Admission, reason: Waits) -> Admission:
    problem = Problem(Place("shop.yaml"), reason, "cart has no endpoint", "Wait", str(KEY))  # type: ignore[arg-type]
    return replace(admission, held=admission.held.set(KEY, (problem,)))


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        (None, (Status.ACTIVE, "")),
        (RolloutSaid(held=False, because="stays at 5 %"), (Status.PROGRESSING, "stays at 5 %")),
        (RolloutSaid(held=True, because="paused"), (Status.HOLDING, "paused")),
        (RolloutSaid(held=False, because="finished", ended=True), (Status.ACTIVE, "")),
    ],
    ids=["no rollout", "it moves", "it holds", "it has ended"],
)
def test_what_is_in_force_is_active_or_moves(shop, rollout, said):
    assert status_of(shop, SHOP_REF, rollout) == said


def test_a_pin_is_above_all(shop):
    after = pinned(held(shop, Waits.PENDING), SHOP_REF, ((V1, 10_000),), Pin(NOON, "ada", "it fails"))
    moving = RolloutSaid(held=True, because="paused")
    assert status_of(after, SHOP_REF, moving) == (
        Status.ROLLED_BACK,
        "pinned since 2026-11-23T12:00:00Z by ada: it fails",
    )


@pytest.mark.parametrize(("reason", "status"), [(Waits.PENDING, Status.PENDING), (Waits.FAILED, Status.FAILED)])
def test_what_is_wanted_waits_while_what_is_in_force_serves(shop, reason, status):
    assert status_of(held(shop, reason), SHOP_REF) == (status, "cart has no endpoint")


def test_a_record_that_is_refused_changes_nothing_of_what_is_in_force():
    server = Server(SHOP)
    server.hears({"shop.yaml": release("shop", "shop.test", to="v9")})
    assert status_of(server.admission, SHOP_REF) == (Status.ACTIVE, "")


@pytest.mark.parametrize(
    ("record", "because"),
    [(release("new", "new.test", to="v9"), "app shop has no deployment 'v9'"), (release("new", 7), "spec.hosts.0")],  # type: ignore[arg-type]
    ids=["it does not hold together", "it is broken"],
)
def test_a_release_that_never_was_in_force_has_failed(record, because):
    server = Server({**SHOP, "new.yaml": record})
    status, why = status_of(server.admission, Ref("default", "new"))
    assert status is Status.FAILED
    assert because in why


def test_what_is_gone_was_superseded(shop):
    assert status_of(shop, Ref("default", "gone")).status is Status.SUPERSEDED


def test_every_status_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "operation.md").read_text("utf-8")
    assert [each for each in Status if f"`{each}`" not in page] == []


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PROGRESSING, Status.HOLDING])
def test_what_gateways_are_not_told_yet_is_pending(status: Status) -> None:
    said = StatusSaid(status, "step 2 of 3")

    assert untold(said, "") == said
    assert untold(said, "waits for sidecars to accept v2") == (
        Status.PENDING,
        "waits for sidecars to accept v2; until then gateways give what they gave before; step 2 of 3",
    )


def test_what_is_pinned_is_said_to_be_so_whoever_is_waited_for() -> None:
    said = StatusSaid(Status.ROLLED_BACK, "pinned")

    assert untold(said, "waits for sidecars to accept v2") == said
