"""What is read is never run, what is secret is never written, and nobody else reads along."""

import ast
import itertools
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch

import raytune_pipe
from raytune_pipe.base import ConfigError, ResultsError, TrialError
from raytune_pipe.cli.live import table
from raytune_pipe.cli.live_state import LiveState
from raytune_pipe.cli.printable import PrintableConsole
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.training.checkpoints import load_checkpoint

PACKAGE = Path(raytune_pipe.__file__).parent

AUDITED = """
import json, sys
seen = []

def hear(event, arguments):
    if event in WATCHED or (event == "open" and writes(arguments)):
        seen.append([event, repr(arguments)])

def writes(arguments):
    import os
    path, mode, flags = arguments
    return bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

WATCHED = {"pickle.find_class", "marshal.load", "os.system", "os.exec", "os.fork", "os.posix_spawn",
           "subprocess.Popen", "socket.connect", "socket.bind", "shutil.rmtree", "os.remove"}
sys.addaudithook(hear)
from raytune_pipe.cli import main
try:
    main(sys.argv[1:], prog_name="raytune-pipe")
except SystemExit as ended:
    code = ended.code
from pathlib import Path
files = {name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}
theirs = [name for name, file in files.items() if file.startswith(str(Path.cwd()))]
print("AUDIT" + json.dumps([code, seen, theirs]))
"""
"""Runs a command; tells its exit code, what it did that it must not, and the modules from here."""


class Poison:
    """Leaves a file named canary where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("canary"), "unpickled")


IMPORTED = '{kind: imported, target: "nets:Wide"}'


@dataclass(frozen=True)
class Trapped:
    """A run of an experiment whose model is the user's own code, as `make` takes it."""

    change: dict[str, str | None] = field(default_factory=lambda: {"trial.model": IMPORTED})
    run: dict[str, Any] = field(default_factory=lambda: {"trials": 24})
    text: None = None
    bytes: None = None
    made: tuple[Any, ...] = ()


@pytest.fixture
def trap(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, an experiment file, and traps for all who unpickle or import."""
    monkeypatch.chdir(tmp_path)
    make(Trapped(), tmp_path)
    run = tmp_path / "results" / "small"
    for name in ("experiment_state.pkl", "tuner.pkl", "trials.pkl", "checkpoints/00000/1.pt"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(pickle.dumps(Poison(), protocol=2))
    for name in ("nets", "torch", "pandas", "ray", "ruamel", "sklearn", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w').write(__name__)\n")
    (tmp_path / "pyproject.toml").write_text('[tool.raytune-pipe]\nallow_imports = ["nets"]\n')
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["analyze", "results/small"],
        ["best", "results/small"],
        ["verify", "results/small"],
        ["status", "results/small"],
        ["status"],
        ["watch", "results/small"],
        ["logs", "results/small"],
        ["validate", "bad.yaml"],
        ["plan", "bad.yaml"],
    ],
    ids=" ".join,
)
def test_commands_that_only_read_run_nothing_of_the_users(trap: Path, words: list[str]) -> None:
    # -P, as the installed program has it: the current folder is not on the path by itself.
    command = [sys.executable, "-P", "-c", AUDITED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    exit_code, seen, theirs = json.loads(done.stdout.partition("AUDIT")[2])
    assert exit_code == 0, done.stderr
    # The one file that a reading command may write: the ranking that `analyze` keeps.
    ranking = "('results/small/.importance.parquet."
    assert [one for one in seen if words[0] != "analyze" or not one[1].startswith(ranking)] == []
    assert theirs == []
    assert not (trap / "canary").exists()


def test_the_audit_hears_what_it_listens_for(trap: Path) -> None:
    code = AUDITED.replace("from raytune_pipe.cli import main", "import pickle, nets\nmain = load")
    code = (
        "def load(words, prog_name):\n    pickle.load(open(words[0], 'rb'))\n    exit(0)\n" + code
    )
    command = [sys.executable, "-c", code, "results/small/tuner.pkl"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, seen, theirs = json.loads(done.stdout.partition("AUDIT")[2])
    assert {event for event, _ in seen} == {"open", "pickle.find_class"}
    assert "nets" in theirs
    assert (trap / "canary").read_text() == "unpickled"


def test_a_poisoned_checkpoint_is_refused_unread(trap: Path) -> None:
    poisoned = trap / "results" / "small" / "checkpoints" / "00000" / "1.pt"
    with pytest.raises(TrialError, match="must be a complete file written by the trainer"):
        load_checkpoint(poisoned, torch.device("cpu"))
    torch.save({"format": 1, "weights": Poison()}, poisoned)
    with pytest.raises(TrialError, match="must be a complete file written by the trainer"):
        load_checkpoint(poisoned, torch.device("cpu"))
    assert not (trap / "canary").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoint": {"path": "checkpoints/../../../victim", "sha256": "0", "bytes": 1}},
        {"checkpoint": {"path": "../../victim", "sha256": "0", "bytes": 1}},
        {"checkpoint": {"path": "/etc/victim", "sha256": "0", "bytes": 1}},
        {"trial_id": "../../victim"},
        {"trial_id": "a/../b"},
    ],
    ids=str,
)
def test_a_journal_made_by_hand_reaches_no_file_outside(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Going on with it would delete old checkpoints and write error files there."""
    monkeypatch.chdir(tmp_path)
    make(Trapped(made=(("rewrite journal", "results/small", change, "report"),)), tmp_path)
    with (
        RunDirectory.reopen(tmp_path / "results" / "small") as run,
        pytest.raises(ResultsError, match="must name files of its own run alone"),
    ):
        run.publish()


FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "marshal.loads",
    "joblib.load",
    "yaml.load",
    "pd.read_pickle",
}
"""What runs text or bytes as code. Nothing of it is needed."""


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package, with the name of what is called as it is written there."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node


def test_the_package_runs_no_data_as_code() -> None:
    found = list(calls())
    assert not FORBIDDEN & {name for name, _ in found}
    loads = [node for name, node in found if name in ("torch.load", "np.load")]
    assert len(loads) >= 2
    for node in loads:
        safe = {word.arg: ast.unparse(word.value) for word in node.keywords}
        assert safe.get("weights_only") == "True" or safe.get("allow_pickle") == "False"
    assert not [node for _, node in found if any(word.arg == "shell" for word in node.keywords)]


def test_nothing_is_exported_that_a_spreadsheet_would_run() -> None:
    """No command writes CSV or Excel: tables are Parquet, which holds text as text."""
    names = {name.rpartition(".")[2] for name, _ in calls()}
    assert not names & {"to_csv", "to_excel", "write_csv"}


BOMBS = {
    "a billion laughs": "a: &a [1,1,1,1,1,1,1,1,1]\n"
    + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghi")
    ),
    "laughs of text": f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 9_000)}]\n",
    "brackets": "[" * 249_000,
    "braces": "{a: " * 60_000,
    "blocks": "- " * 120_000,
    "a million keys": "".join(f"{number}:\n" for number in range(1_000_000)),
    "as many keys as fit": "".join(f"{number:x}:\n" for number in range(36_000)),
    "as many unknown keys as are taken": "".join(f"k{number}: 1\n" for number in range(9_900)),
    "one key again and again": "k: 1\n" * 9_900,
    "a number of 249,000 digits": f"trials: {'9' * 249_000}\n",
    "a tag of 249,000 letters": "!" * 249_000,
    "quotes": "'" * 249_000,
    "comments": "#\n" * 124_000,
    "documents": "---\n" * 60_000,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_in_less_than_a_second(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text(text)
    cpu_s: list[float] = []
    while not cpu_s or (min(cpu_s) >= 1 and len(cpu_s) < 3):  # other work may slow a core
        began = time.process_time()
        with pytest.raises(ConfigError) as caught:
            load_experiment(file)
        cpu_s.append(time.process_time() - began)
    assert min(cpu_s) < 1
    assert len(str(caught.value)) < 20_000


def test_a_live_table_cannot_be_steered_by_what_it_shows() -> None:
    state = LiveState(name="x", metric="\x1b]0;pwned\x07", planned={"00000": 2.0}, began=0.0)
    values: dict[str, Any] = {"model.args.\x9b31m": "\u202edaol", "b": "\x1b]8;;http://x\x1b\\y"}
    event: Any = {"event": "report", "trial_id": "00000", "score": 1.0, "epoch": 1.0, "report": 1}
    event |= {"time": 1.0, "metrics": {}, "values": values}
    state.apply(event)
    terminal = StringIO()
    PrintableConsole(file=terminal, force_terminal=True, width=200).print(table(state))
    shown = terminal.getvalue()
    for text in (r"\x1b]0;pwned\x07", r"model.args.\x9b31m", r"\u202edaol", r"\x1b]8;;http"):
        assert text in shown
    assert not {"\x07", "\x9b", "\u202e"} & set(shown)
    assert "\x1b]" not in shown


NETS = """
import os
import torch

class Wide(torch.nn.Linear):
    def __init__(self, fails):
        super().__init__(64, 10)
        self.fails = fails

    def forward(self, images):
        if self.fails:
            secret = os.environ["CANARY_PASSED"]
            raise ValueError(f"cannot log in with {len(secret)} letters")
        return super().forward(images.flatten(1))
"""

LAUNCHED = """
name: small
trial:
  dataset: {kind: digits}
  model: {kind: imported, target: "nets:Wide", args: {fails: false}}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.1}
  epochs: 2
search_space:
  model.args.fails: {kind: choice, options: [false, true]}
searcher: {kind: grid}
scheduler: {kind: asha}
trials: 2
resources: {max_concurrent: 1}
env_passthrough: [CANARY_PASSED]
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_launch_keeps_secrets_and_lets_nobody_read_along(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "small.yaml").write_text(LAUNCHED)
    secrets = {name: f"{name}-3f9c1b" for name in ("CANARY_PASSED", "CANARY_KEPT")}
    words = ["-m", "raytune_pipe", "launch", "small.yaml", "--allow-import", "nets", "--analyze"]
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, **secrets, "PYTHONPATH": str(tmp_path)},
        umask=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    run = tmp_path / "results" / "small"
    files = [path for path in run.rglob("*") if path.is_file()]
    assert len(list(run.rglob("*.pt"))) >= 1
    assert any(b"cannot log in with 20 letters" in path.read_bytes() for path in files)
    for secret in secrets.values():
        assert secret not in printed
        assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert not {oct(path.stat().st_mode) for path in (run, *run.rglob("*"))} - {
        oct(0o40700),
        oct(0o100600),
    }
    assert not list(Path("/tmp").glob(f"raytune-pipe-{process.pid}-*"))
