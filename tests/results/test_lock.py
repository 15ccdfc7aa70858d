import os
from pathlib import Path

import pytest

from raytune_pipe.base import NameTakenError
from raytune_pipe.results.lock import LOCK, is_held, take_lock


def test_a_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    held = take_lock(tmp_path)
    with pytest.raises(NameTakenError, match=f"held by process {os.getpid()} on "):
        take_lock(tmp_path)
    os.close(held)
    os.close(take_lock(tmp_path))


def test_a_holder_that_left_no_name_is_another_process(tmp_path: Path) -> None:
    held = take_lock(tmp_path)
    (tmp_path / LOCK).write_text("")
    with pytest.raises(NameTakenError, match="held by another process"):
        take_lock(tmp_path)
    os.close(held)


def test_asking_whether_a_lock_is_held_neither_takes_nor_makes_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []
    held = take_lock(tmp_path)
    assert is_held(tmp_path)
    os.close(held)
    assert not is_held(tmp_path)
    os.close(take_lock(tmp_path))
