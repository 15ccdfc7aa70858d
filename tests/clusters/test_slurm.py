"""The batch script runs against commands that write down how they were called."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clusters.stubs import Stubs

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / "clusters" / "slurm.sbatch").read_text()
ADDRESS = "10.1.2.3:22345"

SRUN = """
command = [word for word in words if not word.startswith("--")][0]
if command == "getent":
    print("10.1.2.3        STREAM head")
else:
    import signal
    signal.signal(signal.SIGTERM, lambda *_: (note(event="ended"), sys.exit(0)))
    note(event="started")
    signal.pause()
"""
SCONTROL = "print(*os.environ['NODES'].split(), sep='\\n')"
PYTHON = f"""
if words[0] == "-":  # it waits for nodes: the head's step starts one, the workers' all others
    import time
    sys.stdin.read()
    deadline = time.monotonic() + 60
    while log_file.read_text().count('"started"') < min(int(words[2]), 2):
        assert time.monotonic() < deadline
        time.sleep(0.02)
else:
    os.execv({sys.executable!r}, [{sys.executable!r}, *words])
"""
LAUNCH = """
import signal
signal.signal(signal.SIGTERM, lambda *_: (note(event="drained"), sys.exit(143)))
note(event="launched")
if "LAUNCH_EXIT" in os.environ:
    sys.exit(int(os.environ["LAUNCH_EXIT"]))
signal.pause()
"""

Submit = Callable[..., subprocess.Popen[str]]

pytestmark = pytest.mark.slow


@pytest.fixture
def stubs(tmp_path: Path) -> Stubs:
    """What the script calls."""
    made = Stubs(tmp_path)
    for name, body in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        made.add(name, body)
    made.add("raytune-pipe", LAUNCH)
    return made


@pytest.fixture
def submit(stubs: Stubs, tmp_path: Path) -> Submit:
    """Starts the script as Slurm does, on the nodes that are named."""

    def start(
        *words: str, nodes: str = "head one two", text: str = SCRIPT, **more: str
    ) -> subprocess.Popen[str]:
        script = tmp_path / "script"  # a copy, as Slurm makes one
        script.write_text(text)
        slurm = {"JOB_ID": "12345", "JOB_NODELIST": "x", "CPUS_PER_TASK": "8"}
        slurm["SUBMIT_DIR"] = str(tmp_path)
        environment = stubs.environment(
            NODES=nodes, **{f"SLURM_{name}": value for name, value in slurm.items()}, **more
        )
        return subprocess.Popen(
            ["bash", str(script), *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def faults(stubs: Stubs, folder: Path) -> list[str]:
    """What is wrong with the calls that a job of three nodes made."""
    lines, found = stubs.lines, []

    def place(pattern: str) -> int:
        places = [number for number, line in enumerate(lines) if re.search(pattern, line)]
        if len(places) != 1:
            found.append(f"{pattern} {len(places)} times")
        return places[0] if places else -1

    head = place("^srun .*--nodelist=head ray start --head .*--node-ip-address=10.1.2.3 .*22345")
    first_wait = place(rf"^python - {ADDRESS} 1 ")
    workers = place(rf"^srun .*--nodelist=one,two ray start --address={ADDRESS} --block")
    second_wait = place(rf"^python - {ADDRESS} 3 ")
    launch = place(rf"^raytune-pipe launch .* --address {ADDRESS}$")
    if not (max(head, first_wait) < workers < launch and first_wait < second_wait < launch):
        found.append("the order")
    for call in stubs.calls:
        starts = call.words[0] == "raytune-pipe" or "ray" in call.words
        if starts and (call.auth_mode != "token" or not call.token or call.token_mode != "0o600"):
            found.append(f"no token that others cannot read at {call.words}")
        if call.token and any(call.token in word for word in call.words):
            found.append("the token in an argument")
    if "--dashboard-host=127.0.0.1" not in lines[head]:
        found.append("a dashboard on the network")
    ended = [call for call in stubs.calls if call.event == "ended"]
    if len(ended) != 2:
        found.append(f"{len(ended)} of 2 steps ended")
    found += [f"{left.name} is left" for left in folder.glob(".raytune-pipe-*")]
    return found


def test_a_job_starts_ray_on_its_nodes_launches_and_ends_ray(
    submit: Submit, stubs: Stubs, tmp_path: Path
) -> None:
    job = submit("a b.yaml", "--set", "x=a b", LAUNCH_EXIT="3")
    output, _ = job.communicate(timeout=60)
    assert job.returncode == 3, output
    assert faults(stubs, tmp_path) == []
    [launch] = [call for call in stubs.calls if call.event == "launched"]
    assert launch.words == [
        *("raytune-pipe", "launch", "a b.yaml", "--set", "x=a b"),
        *("--resume", "--address", ADDRESS),
    ]


@pytest.mark.parametrize(
    ("correct", "wrong"),
    [
        ('ray start --address="$address"', 'ray start --address="$head:$port"'),
        ('--address "$address" &', '--address "$head_ip:6379" &'),
        ("export RAY_AUTH_MODE=token", "export RAY_AUTH_MODE="),
        ('export RAY_AUTH_TOKEN_PATH="', 'RAY_AUTH_TOKEN_PATH="'),
        ("umask 077", "umask 022"),
        ("wait_for_nodes 1\n", "\n"),
        ('    wait_for_nodes "${#nodes[@]}"', "    :"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0"),
        ('kill -TERM "${steps[@]}"', "true"),
        ("trap clean_up EXIT", ""),
    ],
)
def test_a_script_with_a_fault_is_caught(
    submit: Submit, stubs: Stubs, tmp_path: Path, correct: str, wrong: str
) -> None:
    assert SCRIPT.count(correct) == 1, correct
    short = SCRIPT.replace(correct, wrong).replace("{1..150}", "1")
    job = submit("a.yaml", text=short, LAUNCH_EXIT="0")
    job.wait(timeout=60)
    try:
        assert faults(stubs, tmp_path) != []
    finally:
        end_steps(stubs)
        job.communicate(timeout=60)


def end_steps(stubs: Stubs) -> None:
    """End the steps that a faulty script has left behind."""
    ended = {call.pid for call in stubs.calls if call.event == "ended"}
    for call in stubs.calls:
        if call.event == "started" and call.pid not in ended:
            os.kill(call.pid, signal.SIGTERM)


def test_one_node_is_enough_and_new_stays_new(submit: Submit, stubs: Stubs) -> None:
    job = submit("a.yaml", "--new", nodes="head", LAUNCH_EXIT="0")
    output, _ = job.communicate(timeout=60)
    assert job.returncode == 0, output
    started = [line for line in stubs.lines if " ray start " in line]
    assert len(started) == 1
    assert " ray start --head " in started[0]
    assert stubs.lines[-1] == f"raytune-pipe launch a.yaml --new --address {ADDRESS}"


def test_before_its_time_is_up_the_launch_is_asked_to_end(
    submit: Submit, stubs: Stubs, tmp_path: Path
) -> None:
    job = submit("a.yaml")
    deadline = time.monotonic() + 60
    try:
        while not any(call.event == "launched" for call in stubs.calls):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        job.send_signal(signal.SIGTERM)
        output, _ = job.communicate(timeout=60)
    assert job.returncode == 143, output
    events = [call.event for call in stubs.calls if call.event not in (None, "started")]
    assert events == ["launched", "drained", "ended", "ended"]  # Ray outlives the launch
    assert faults(stubs, tmp_path) == []


@pytest.mark.parametrize(
    ("words", "left_out", "said"),
    [
        ([], {}, "the experiment file is missing"),
        (["a.yaml"], {"SLURM_JOB_ID": ""}, "for sbatch, which sets SLURM_JOB_ID"),
    ],
)
def test_a_script_that_is_run_wrongly_starts_nothing(
    stubs: Stubs, words: list[str], left_out: dict[str, str], said: str
) -> None:
    environment = {**stubs.environment(SLURM_JOB_ID="1"), **left_out}
    script = str(ROOT / "clusters" / "slurm.sbatch")
    done = subprocess.run(
        ["bash", script, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert stubs.calls == []


def test_shellcheck_finds_nothing() -> None:
    checker = Path(sys.executable).parent / "shellcheck"
    script = str(ROOT / "clusters" / "slurm.sbatch")
    done = subprocess.run([str(checker), script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_time_to_end_is_less_than_the_time_of_the_job() -> None:
    directives = dict(re.findall(r"^#SBATCH --(\S+?)=(\S+)", SCRIPT, re.M))
    to_batch_shell, seconds = directives["signal"].split("@")
    hours, minutes, _ = map(int, directives["time"].split(":"))
    assert to_batch_shell == "B:TERM"  # else Slurm signals the steps, and Ray is gone first
    assert 60 <= int(seconds) < hours * 3600 + minutes * 60
    assert directives["ntasks-per-node"] == "1"
