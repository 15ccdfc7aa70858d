"""What the README says is so: its blocks run, its options exist, its tree is the package's."""

import ast
import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from raytune_pipe.cli import main
from raytune_pipe.experiment_file import load_experiment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SHORTER = {
    "random_mlp": {"trials: 96": "trials: 48", "epochs: 20": "epochs: 1"},
    "pbt_resnet": {
        "trials: 16": "trials: 4",
        "epochs: 20": "epochs: 6",
        "interval_epochs: 2": "interval_epochs: 1",
        "width: 16": "width: 4",
    },
}
"""What is replaced in the copies of experiments, so that they run in seconds."""

SETS_UP = ("make ", "python3 -m venv", ".venv/bin/pip ")
"""What commands begin with that install: `.ci/run` covers these."""

NAME_WIDTH = 32


class Block(NamedTuple):
    """A fenced block of the README."""

    language: str
    text: str


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)]


def code(language: str) -> list[str]:
    return [block.text for block in BLOCKS if block.language == language]


def module_of(text: str) -> str | None:
    """The file of the package that a block of Python is an addition to; its first line says it."""
    match = re.match(r"# (raytune_pipe/\S+\.py)\n", text)
    return match[1] if match else None


def run(words: list[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """What a command prints on stdout; the test fails with all that it said if it does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **(env or {})}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{words[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder as a user's, with shorter copies of the experiments."""
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copytree(ROOT / "clusters", tmp_path / "clusters")
    for name, replacements in SHORTER.items():
        file = tmp_path / "experiments" / f"{name}.yaml"
        text = file.read_text()
        for long, short in replacements.items():
            assert text.count(long) == 1, f"{file.name} must hold {long!r} once"
            text = text.replace(long, short)
        file.write_text(text)
    return tmp_path


@pytest.mark.ray
@pytest.mark.slow
def test_blocks_run_in_their_order_and_print_what_is_shown(workplace: Path) -> None:
    printed = ""
    for language, text in BLOCKS:
        if language == "python" and not module_of(text):
            printed += run([sys.executable, "-W", "error", "-c", text], workplace)
        elif language == "bash" and not text.startswith(SETS_UP):
            printed += run(["bash", "-e", "-c", text], workplace)
    shown = next(text for text in code("text") if text.startswith("Importance"))
    lines = {line_form(line) for line in printed.splitlines()}
    missing = [line for line in shown.splitlines() if line_form(line) not in lines]
    # What cannot be told apart is another pair in another run.
    assert [line for line in missing if not re.search(r"P (=|>)|interaction", line)] == []


def line_form(line: str) -> str:
    """A line of a ranking without what differs from run to run: its numbers and its bars."""
    figures = r"-?\d+(\.\d+)?|[█-▏]+|nothing seen"
    return re.sub(r"\b0( 0)+\b", "0", " ".join(re.sub(figures, " 0 ", line).split()))


def test_the_ranking_shown_is_of_the_experiment_named() -> None:
    shown = next(text for text in code("text") if text.startswith("Importance"))
    ranked = re.findall(r"^ (\S+) +(?:\d\.\d\d|nothing seen) ", shown, re.M)
    experiment = load_experiment(ROOT / "experiments" / "random_mlp.yaml")
    assert sorted(ranked) == sorted(experiment.space().names)
    assert f"{experiment.trials} usable trials" in shown


@pytest.mark.slow
def test_the_addition_is_all_there_is_to_a_new_schedule(workplace: Path) -> None:
    shutil.copytree(ROOT / "raytune_pipe", workplace / "raytune_pipe")
    [addition] = [text for text in code("python") if module_of(text)]
    file = workplace / str(module_of(addition))
    added, _, union = addition.partition("\n\n\n")
    added = added.partition("\n")[2]
    [name] = re.findall(r"^class (\w+)", added, re.M)
    old = union_in(file.read_text())
    assert union_in(union).replace(f" {name} |", "") == old
    before, after = re.split(r"^Schedule = .*?\),?\s*\]\n", file.read_text(), flags=re.M | re.S)
    file.write_text(f"{before}{added}\n\n\n{union}{after}")
    words = [sys.executable, "-m", "raytune_pipe", "train", "experiments/smoke.yaml"]
    table = run([*words, "--set", "schedule={kind: halving, half_life: 1}"], workplace)
    last = re.search(r"^ *4 +\S+ +(\S+)", table, re.M)
    assert last, table
    assert (
        0.05 * 0.5**4 < float(last[1]) < 0.05 * 0.5**3
    )  # the rate of the fourth epoch's last step


def union_in(text: str) -> str:
    """The members of the union of schedules, as they are written, in one line."""
    match = re.search(r"^Schedule = Annotated\[(.*?),\s+Field", text, re.M | re.S)
    assert match
    return " ".join(match[1].split())


def commands_shown() -> Iterator[tuple[str, list[str]]]:
    """Each of our commands in the README, and its options there."""
    for line in "".join(code("bash")).splitlines():
        match = re.match(r"raytune-pipe (\w+)", line)
        if match:
            yield match[1], re.findall(r"--[a-z-]+", line)


def options_of(command: click.Command) -> set[str]:
    return {name for option in command.params for name in option.opts}


def all_commands(command: click.Command) -> Iterator[click.Command]:
    """A command, and those beneath it."""
    yield command
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        yield from all_commands(each)


def test_commands_and_their_options_exist() -> None:
    assert isinstance(main, click.Group)
    shown = list(commands_shown())
    assert shown
    for name, options in shown:
        assert set(options) <= options_of(main.commands[name]), name


def test_options_in_the_text_exist() -> None:
    assert isinstance(main, click.Group)
    text = re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S)
    inline = [each for each in re.findall(r"`([^`]+)`", text) if "pip install" not in each]
    ours = [each for each in inline if not each.startswith("python ")]
    known = set.union(*map(options_of, all_commands(main)))
    assert {option for each in ours for option in re.findall(r"--[a-z-]+", each)} <= known


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_tree_is_the_packages() -> None:
    expected = "\n".join(tree(ROOT / "raytune_pipe")) + "\n"
    shown = next(text for text in code("text") if text.startswith("raytune_pipe/"))
    difference = "".join(difflib.ndiff(shown.splitlines(True), expected.splitlines(True)))
    assert shown == expected, f"the README's tree must be\n\n{expected}\nas\n\n{difference}"


def tree(folder: Path, depth: int = 0) -> Iterator[str]:
    """A line for each module: its name and the first line of its docstring."""
    yield tree_line(folder / "__init__.py", f"{'  ' * depth}{folder.name}/")
    for file in sorted(folder.glob("*.py")):
        if file.name != "__init__.py":
            yield tree_line(file, f"{'  ' * (depth + 1)}{file.name}")
    for package in sorted(folder.glob("*/__init__.py")):
        yield from tree(package.parent, depth + 1)


def tree_line(file: Path, name: str) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return f"{name:<{NAME_WIDTH}}{docstring.partition(chr(10))[0].rstrip('.')}".rstrip()
