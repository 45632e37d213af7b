import gc

import pytest

from xds_server.runtime.garbage import YOUNG, building


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


def test_what_lives_for_a_moment_is_seldom_looked_at() -> None:
    before = gc.get_threshold()
    try:
        with building():
            pass
        assert gc.get_threshold() == (YOUNG, *before[1:])
    finally:
        gc.set_threshold(*before)
