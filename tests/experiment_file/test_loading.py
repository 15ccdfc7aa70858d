"""Loading: all mistakes at once, each located; files that are none; imports; speed."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.base import ConfigError
from raytune_pipe.experiment_file import load_experiment

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))

VALID = """\
name: demo
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 4
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0}
scheduler: {kind: asha}
trials: 4
"""


def errors(folder: Path, text: str, *overrides: str, allow: tuple[str, ...] = ()) -> list[str]:
    """The first line of each error, with the file named x.yaml."""
    file = folder / "x.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_experiment(file, overrides, allow)
    lines = str(caught.value).replace(str(file), "x.yaml").splitlines()
    return [line for line in lines if line.startswith(("x.yaml", "--set"))]


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_shipped_experiment_is_valid_and_named_as_its_file(file: Path) -> None:
    experiment = load_experiment(file)
    assert experiment.name == file.stem
    assert len(experiment.plan()) == experiment.trials
    header = file.read_text().split("\nname:")[0]
    assert f"raytune-pipe launch experiments/{file.name}" in header
    assert "# Took: " in header


def test_the_shipped_experiments_are_there() -> None:
    names = {file.stem for file in EXPERIMENTS}
    assert names >= {"pbt_resnet", "asha_resnet", "asha_mlp", "random_mlp", "smoke"}


SEVEN = """\
name: seven
trial:
  dataset: {kind: digits}
  model: {kind: resnett, depth: 8}
  loss: {kind: cross_entropy, label_smothing: 0.1}
  optimizer: {kind: sgd, lr: fast}
  batch_size: 32
  batch_size: 64
  epochs: 9
search_space:
  optimizer.lr: {kind: log_uniform, low: 0, high: 1.0}
  optimizer.momentun: {kind: uniform, low: 0.5, high: 0.9}
scheduler: {kind: asha, grace_epochs: 10}
trials: 8
"""


def test_seven_mistakes_of_different_kinds_are_seven_located_errors(tmp_path: Path) -> None:
    found = errors(tmp_path, SEVEN)
    assert [line.split(": ")[:2] for line in found] == [
        ["x.yaml:4:17", "trial.model.kind"],
        ["x.yaml:5:31", "trial.loss.label_smothing"],
        ["x.yaml:6:30", "trial.optimizer.lr"],
        ["x.yaml:8:3", "trial.batch_size"],
        ["x.yaml:11:42", "search_space.optimizer.lr.low"],
        ["x.yaml:12:3", "search_space.optimizer.momentun"],
        ["x.yaml:13:39", "scheduler.grace_epochs"],
    ]
    assert "did you mean 'resnet'?" in found[0]
    assert "did you mean 'label_smoothing'?" in found[1]
    assert "must be a number, but got 'fast'" in found[2]
    assert "did you mean 'optimizer.momentum'?" in found[5]


def test_the_offending_line_stands_beneath_with_a_caret(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(VALID.replace("lr: 0.05", "lr: -1"))
    with pytest.raises(ConfigError) as caught:
        load_experiment(file)
    assert str(caught.value) == (
        f"{file}:6:30: trial.optimizer.lr: must be above 0, but got -1\n"
        "    optimizer: {kind: sgd, lr: -1}\n" + " " * 31 + "^"
    )


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("epochs: 4", "epochs: 4.5", "7:11: trial.epochs", "must be a whole number, but got 4.5"),
        ("epochs: 4", "epochs: '4'", "7:11: trial.epochs", "write it without quotes"),
        ("epochs: 4", "epoch: 4", "7:3: trial.epoch", "did you mean 'epochs'?"),
        ("epochs: 4", "regularizers: {l9: {}}", "7:18: trial.regularizers.l9", "(l1, "),
        ("epochs: 4", "precision: fp16", "7:14: trial.precision", "'float32' or 'bfloat16'"),
        ("lr: 0.05", "lr: .inf", "6:30: trial.optimizer.lr", "finite number, but got .inf"),
        ("lr: 0.05", "nesterov: yes", "6:36: trial.optimizer.nesterov", "only true and false"),
        ("{kind: mlp, widths: [8]}", "{widths: [8]}", "4:10: trial.model", "mapping with a kind"),
        (
            "{kind: mlp, widths: [8]}",
            "mlp",
            "4:10: trial.model",
            "a kind (mlp, cnn, resnet, recurrent, transformer, imported), but got 'mlp'",
        ),
        ("widths: [8]", "widths: []", "4:30: trial.model.widths", "at least 1 entries"),
        ("widths: [8]", "widths: [8, 0]", "4:34: trial.model.widths.1", "must be at least 1"),
        ("  loss: {kind: cross_entropy}\n", "", "2:1: trial.loss", "but is missing"),
        ("trials: 4", "trial_count: 4", "1:1: trials", "but is missing"),
        ("name: demo", "name: ../demo", "1:7: name", "names the run's folder"),
        (
            "trials: 4",
            "trials: 4\nresources: {workers: 0}",
            "12:22: resources.workers",
            "at least 1",
        ),
        ("trials: 4", "trials: 4\nresources: {gpus: all}", "12:19: resources.gpus", "or 'auto'"),
        ("trials: 4", "trials: 4\nresources: {gpus: 1.5}", "12:19: resources.gpus", "whole number"),
        (
            "trials: 4",
            "trials: 4\nschedule: {}",
            "12:1: schedule",
            "must be a field of the experiment",
        ),
    ],
)
def test_a_mistake_is_told_in_plain_words_at_its_place(
    old: str, new: str, place: str, message: str, tmp_path: Path
) -> None:
    assert old in VALID
    found = errors(tmp_path, VALID.replace(old, new))
    told = [line for line in found if line.startswith(f"x.yaml:{place}: ")]
    assert len(told) == 1, found
    assert message in told[0]


JUNK: list[Any] = [
    *(None, True, -1, 1.5, math.inf, "x", "sgd", [], [1], {}, {"kind": "sgd"}, {"kind": ["a"]}),
    {"kind": "choice", "options": [{"kind": "sgd"}, {"kind": "mlp"}]},
    {"kind": "warmup", "then": {"then": 3}},
]
PLACES = [
    *("name", "kind", "trials", "objective", "scheduler.kind", "search_space"),
    *("trial", "trial.kind", "trial.optimizer", "trial.optimizer.kind", "trial.model.widths"),
    *("trial.schedule", "search_space.kind", "search_space.optimizer.lr", "search_space.schedule"),
]


@given(junk=st.dictionaries(st.sampled_from(PLACES), st.sampled_from(JUNK), min_size=1, max_size=3))
def test_junk_anywhere_ends_in_located_errors(
    junk: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("junk") / "x.yaml"
    file.write_text(VALID)
    overrides = [f"{path}={json.dumps(value)}" for path, value in junk.items()]
    try:
        load_experiment(file, overrides)
    except ConfigError as error:
        told = str(error)
        located = re.match(rf"(--set #\d|{re.escape(str(file))}:\d+:\d+): ", told)
        if located is None or "stand-in" in told:
            pytest.fail(told)


def test_map_keys_are_told_by_their_own_words(tmp_path: Path) -> None:
    schedule = "epochs: 4\n  schedule: {kind: piecewise, multipliers: {0: 1, half: 0.5}}"
    assert errors(tmp_path, VALID.replace("epochs: 4", schedule)) == [
        "x.yaml:8:51: trial.schedule.multipliers.half: must be a whole number, but got 'half'"
    ]


def test_numbers_may_be_keys(tmp_path: Path) -> None:
    schedule = "epochs: 4\n  schedule: {kind: piecewise, multipliers: {0: 1, 2: 1e-1}}"
    file = tmp_path / "x.yaml"
    file.write_text(VALID.replace("epochs: 4", schedule))
    dump = load_experiment(file).trial.schedule.model_dump()
    assert dump["multipliers"] == {0: 1.0, 2: 0.1}


def test_one_mistake_brings_no_others_with_it(tmp_path: Path) -> None:
    """Nothing is told about what rests on a broken part."""
    for old, new in [
        ("kind: sgd", "kind: sgdd"),
        ("trials: 4", "trials: many\nsearcher: {kind: grid}"),
        ("epochs: 4", "epochs: none"),
        ("kind: log_uniform, low: 1e-3", "kind: log_uniform, low: -1"),
    ]:
        assert len(errors(tmp_path, VALID.replace(old, new))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a mapping with name, trial and trials, but it is empty"),
        (b"# only a comment\n", "it is empty"),
        (b"- a\n", 'got ["a"]'),
        (b"name: \xff\xfe", "must be UTF-8 text, but byte 7 of the file is 0xff"),
        (b"a: 1\n" * 250_000, "at most 250,000 bytes"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_experiment(file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_experiment(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="it is a folder"):
        load_experiment(tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load_experiment(file).name == "demo"


IMPORTED = VALID.replace("{kind: mlp, widths: [8]}", '{kind: imported, target: "my_nets.wide:Net"}')


def test_imports_must_be_allowed_from_outside_the_file(tmp_path: Path) -> None:
    told = errors(tmp_path, IMPORTED, allow=("my_net",))
    assert len(told) == 1
    assert told[0].startswith("x.yaml:4:35: trial.model.target: must come from an allowed package")
    assert "--allow-import my_nets" in told[0]
    assert 'allow_imports = ["my_nets"]' in told[0]


@pytest.mark.parametrize("prefix", ["my_nets", "my_nets.wide"])
def test_an_allowed_prefix_covers_what_is_beneath_it(prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(IMPORTED)
    assert load_experiment(file, allow_imports=[prefix]).trial.model.kind == "imported"


def test_imports_among_the_options_of_a_choice_must_be_allowed_too(tmp_path: Path) -> None:
    space = (
        "search_space:\n  model: {kind: choice, options:"
        ' [{kind: mlp}, {kind: imported, target: "my_nets:Net"}]}'
    )
    told = errors(tmp_path, VALID.replace("search_space:", space))
    assert len(told) == 1
    assert "search_space.model.options.1.target" in told[0]


def test_loading_imports_neither_torch_nor_ray_nor_pandas(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(VALID)
    code = (
        "import sys; from raytune_pipe.experiment_file import load_experiment;"
        "load_experiment('x.yaml').plan();"
        "heavy = {'torch', 'ray', 'pandas', 'scipy', 'sklearn', 'pyarrow', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_searched_targets_must_be_allowed_too(tmp_path: Path) -> None:
    searched = 'model.target: {kind: choice, options: ["my_nets:A", "evil:B"]}'
    text = IMPORTED.replace("search_space:\n", f"search_space:\n  {searched}\n")
    assert searched in text
    (told,) = errors(tmp_path, text, allow=("my_nets",))
    assert "search_space.model.target.options.1: must come from an allowed package" in told
