"""The weights of a rollout that has finished, and the file that shall say them."""

import json
from pathlib import Path

import pytest

from tests.records.folder import SHOP, Server, release, shop_in
from xds_server.domain.names import Ref
from xds_server.records.releases import Weights
from xds_server.runtime.finishing import Finishing, NotWritten
from xds_server.sources.writing import Writer

SHOP_REF, V1, V2 = (Ref("default", name) for name in ("shop", "v1", "v2"))
ALL_V2: Weights = ((V1, 0), (V2, 10_000))


def test_the_default_is_written_and_nothing_else(tmp_path: Path) -> None:
    folder, server = shop_in(tmp_path), Server(SHOP)
    Finishing(Writer(folder), lambda: server.admission).write(SHOP_REF, ALL_V2)
    said = json.loads((folder / "shop.yaml").read_text("utf-8"))["spec"]
    assert [(each["deployment"], each["weight"]) for each in said["default"]] == [("v1", 0), ("v2", 100)]
    assert said["hosts"] == ["shop.test"]


def test_what_somebody_has_just_written_and_nobody_has_read_is_not_written_over(tmp_path: Path) -> None:
    folder, server = shop_in(tmp_path), Server(SHOP)
    edited = release(
        "shop", "shop.test", default=[{"deployment": "v1", "weight": 60}, {"deployment": "v2", "weight": 40}]
    )
    (folder / "shop.yaml").write_text(edited, "utf-8")
    with pytest.raises(NotWritten, match="was changed just now and is not read yet"):
        Finishing(Writer(folder), lambda: server.admission).write(SHOP_REF, ALL_V2)
    assert (folder / "shop.yaml").read_text("utf-8") == edited


def test_a_file_that_is_gone_is_not_written_again(tmp_path: Path) -> None:
    folder, server = shop_in(tmp_path), Server(SHOP)
    (folder / "shop.yaml").unlink()
    with pytest.raises(NotWritten, match=r"shop\.yaml is gone"):
        Finishing(Writer(folder), lambda: server.admission).write(SHOP_REF, ALL_V2)
    assert not (folder / "shop.yaml").exists()
