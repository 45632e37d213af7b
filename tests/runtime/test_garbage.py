import gc

import pytest

from xds_server.runtime.garbage import building


def test_what_is_built_is_left_alone_and_collecting_goes_on_afterwards() -> None:
    before = gc.get_freeze_count()
    try:
        with building():
            assert not gc.isenabled()
            kept: list[list[int]] = [[] for _ in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.unfreeze()


def test_collecting_goes_on_if_building_fails() -> None:
    with pytest.raises(RuntimeError), building():
        raise RuntimeError
    gc.unfreeze()

    assert gc.isenabled()
