"""The commands in clusters/README.md are commands."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from raytune_pipe.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "clusters" / "README.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, re.M | re.S)
LINES = [shlex.split(line, comments=True) for line in "".join(BLOCKS).splitlines()]
OURS = [words[1:] for words in LINES if words[0] == "raytune-pipe"]
LAUNCHES = [words for words in OURS if words[0] == "launch"]
REMOTE = [shlex.split(words[-1]) for words in LINES if words[:2] == ["ray", "exec"]]


@pytest.mark.parametrize("words", LAUNCHES, ids=" ".join)
def test_every_launch_is_one(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("clusters", "experiments"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    text = (ROOT / "experiments" / "smoke.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(f"{text}\nstorage: /mnt/raytune-pipe/results\n")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*words, *([] if "--dry-run" in words else ["--dry-run"])])
    assert done.exit_code == 0, done.output
    assert done.stdout


def test_commands_beside_a_launch_exist() -> None:
    assert isinstance(main, click.Group)
    others = [words for words in OURS if words[0] != "launch"]
    assert {words[0] for words in others} == {"watch", "fetch"}
    assert [words[:2] for words in REMOTE] == [["raytune-pipe", "doctor"]]
    for name, *words in [*others, *(words[1:] for words in REMOTE)]:
        command = main.commands[name]
        assert command.make_context(name, list(words)).params["address"]  # raises on what is not


def test_commands_of_ray_exist() -> None:
    from ray.scripts.scripts import cli

    shown = [words for words in LINES if words[0] == "ray"]
    assert {words[1] for words in shown} == {"down", "dashboard", "exec", "get-auth-token"}
    for _, name, *words in shown:
        known = {option for each in command(cli, name).params for option in each.opts}
        assert {word for word in words if word.startswith("-")} <= known


def command(group: click.Group, name: str) -> click.Command:
    found = group.commands[name]
    assert isinstance(found, click.Command)
    return found


def test_every_file_is_told_of_and_every_file_told_of_is_there() -> None:
    files = {path.name for path in (ROOT / "clusters").iterdir()} - {"README.md"}
    told = set(re.findall(r"[\w-]+\.(?:yaml|sbatch)|Dockerfile", README))
    assert told - {"pbt_resnet.yaml", "mine.yaml"} == files
