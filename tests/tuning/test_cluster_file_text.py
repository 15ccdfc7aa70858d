from pathlib import Path

import pytest

from raytune_pipe.base import ConfigError
from raytune_pipe.tuning.cluster_file_text import require_filled_in, unset_places

LAUNCHER = "cluster_name: x\nprovider: {type: local}\n"


def test_places_to_be_filled_in_are_named_and_comments_are_none(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(f"# CHANGE-ME\n{LAUNCHER}auth: {{ssh_user: CHANGE-ME}} # CHANGE-ME\n")
    assert unset_places(file) == [f"{file}:4: auth: {{ssh_user: CHANGE-ME}} # CHANGE-ME"]
    with pytest.raises(ConfigError, match=r"every CHANGE-ME must be replaced .*\n .*:4: auth"):
        require_filled_in(file)


def test_files_to_be_copied_must_be_there(tmp_path: Path) -> None:
    file, there = tmp_path / "cluster.yaml", tmp_path / "there"
    file.write_text(f"{LAUNCHER}file_mounts: {{a: {there}}}\n")
    with pytest.raises(ConfigError, match=r"must be there, but is not: .*there; "):
        require_filled_in(file)
    there.touch()
    require_filled_in(file)
