"""`launch --cluster` against stubs of the commands that it runs: their order and arguments."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raytune_pipe.cli import main
from raytune_pipe.tuning.cluster_file_text import PLACEHOLDER
from tests.clusters.stubs import Stubs

ROOT = Path(__file__).parents[2]
SHIPPED = [*sorted((ROOT / "clusters").glob("*.yaml")), ROOT / "clusters" / "slurm.sbatch"]
CLUSTERS = [file for file in SHIPPED if file.stem != "kuberay-storage"]

TUNNEL = """
import signal, socket, time
port = PORT
signal.signal(signal.SIGTERM, lambda *_: (note(event="ended"), sys.exit(0)))
listener = socket.create_server(("127.0.0.1", port))
while True:
    listener.accept()[0].close()
"""
RAY = f"""
print("ray says", words[0])
if words[0] == os.environ.get("RAY_FAILS"):
    sys.exit(5)
if words[0] == "dashboard":
{TUNNEL.replace("PORT", 'int(words[words.index("--port") + 1])').replace(chr(10), chr(10) + "    ")}
"""
KUBECTL = f"""
print("kubectl says", words[0])
if words[0] == os.environ.get("KUBECTL_FAILS"):
    sys.exit(5)
if "port-forward" in words:
{TUNNEL.replace("PORT", 'int(words[-1].split(":")[0])').replace(chr(10), chr(10) + "    ")}
"""
LAUNCH = """
import signal, socket, time
if words[-1].startswith("http:"):
    port = int(words[words.index("--address") + 1].rsplit(":", 1)[1])
    socket.create_connection(("127.0.0.1", port)).close()
    note(event="reached")
signal.signal(signal.SIGTERM, lambda *_: (note(event="drained"), sys.exit(143)))
print("{}")
if "LAUNCH_WAITS" in os.environ:
    note(event="waits")
    signal.pause()
sys.exit(int(os.environ.get("LAUNCH_EXIT", 0)))
"""


@pytest.fixture
def stubs(tmp_path: Path) -> Stubs:
    """All commands that a launch on a cluster runs."""
    made = Stubs(tmp_path)
    for name, body in (("ray", RAY), ("kubectl", KUBECTL), ("raytune-pipe", LAUNCH)):
        made.add(name, body)
    made.add("sbatch", "print('Submitted batch job 7')")
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An experiment whose results go to a place that all nodes see."""
    text = (ROOT / "experiments" / "smoke.yaml").read_text()
    path = tmp_path / "smoke.yaml"
    path.write_text(f"{text}\nstorage: /mnt/raytune-pipe/results\n")
    return path


def filled_in(shipped: str, folder: Path) -> Path:
    """A shipped file with all its values filled in, and the files there that it copies."""
    text = (ROOT / "clusters" / shipped).read_text().replace(PLACEHOLDER, "10.0.0.7")
    for source in ("~/.ray/auth_token", "constraints.txt"):
        text = text.replace(f": {source}\n", f": {folder}\n")
    path = folder / shipped
    path.write_text(re.sub(r": dist\b", f": {folder}", text))
    return path


def environment(stubs: Stubs, **more: str) -> dict[str, str]:
    """That of a user who has no token."""
    return stubs.environment(**{"HOME": str(stubs.folder), **more})


def launch(stubs: Stubs, *words: str | Path, **more: str) -> Result:
    """What the program printed itself; what its commands print, they print past it."""
    return CliRunner().invoke(
        main, ["launch", *map(str, words)], env=environment(stubs, **more), prog_name="raytune-pipe"
    )


def commands(stubs: Stubs) -> list[str]:
    """What was run, with the local port of a tunnel as PORT."""
    lines = [shlex.join(call.words) for call in stubs.calls if call.event is None]
    ports = {found[1] for line in lines if (found := re.search(r"127\.0\.0\.1:(\d+)", line))}
    for port in ports:
        lines = [re.sub(rf"\b{port}\b", "PORT", line, count=1) for line in lines]
    return lines


def test_a_launcher_file_is_brought_up_and_reached_by_a_tunnel(
    stubs: Stubs, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster = filled_in("aws-gpu.yaml", tmp_path)
    done = launch(stubs, file, "--cluster", cluster, "--name", "x y", "--json", LAUNCH_EXIT="3")
    assert done.exit_code == 3, done.stderr  # what the experiment came to
    assert commands(stubs) == [
        f"ray up --yes --no-restart {cluster}",
        f"ray exec {cluster} 'ray status'",
        f"ray dashboard {cluster} --port PORT --remote-port 8265",
        f"raytune-pipe launch {file} --name 'x y' --json --address http://127.0.0.1:PORT",
    ]
    assert [call.event for call in stubs.calls if call.event] == ["reached", "ended"]
    assert f"running: ray up --yes --no-restart {cluster}\n" in done.stderr
    assert done.stderr.endswith(f"stays up, and costs, until: ray down --yes {cluster}\n")
    assert done.stdout == ""
    of_commands = capfd.readouterr()
    assert of_commands.out == "{}\n"  # the result alone
    assert of_commands.err.startswith("ray says up\n")


def test_a_ray_cluster_is_applied_waited_for_and_reached_by_a_forwarded_port(
    stubs: Stubs, file: Path, tmp_path: Path
) -> None:
    cluster = filled_in("kuberay-raycluster.yaml", tmp_path)
    done = launch(stubs, file, "--cluster", cluster)
    assert done.exit_code == 0, done.stderr
    wait = "kubectl wait --for=condition=RayClusterProvisioned --timeout=30m"
    assert commands(stubs) == [
        f"kubectl apply --filename {cluster}",
        f"{wait} raycluster/raytune-pipe",
        "kubectl port-forward --address=127.0.0.1 service/raytune-pipe-head-svc PORT:8265",
        f"raytune-pipe launch {file} --address http://127.0.0.1:PORT",
    ]
    assert [call.event for call in stubs.calls if call.event] == ["reached", "ended"]


def test_a_ray_job_is_given_its_experiment_and_followed(
    stubs: Stubs, file: Path, tmp_path: Path
) -> None:
    cluster = filled_in("kuberay-rayjob.yaml", tmp_path)
    text = cluster.read_text().replace("  name: raytune-pipe\n", "  name: it\n  namespace: ns\n", 1)
    cluster.write_text(text)
    done = launch(stubs, file, "--cluster", cluster)
    assert done.exit_code == 0, done.stderr
    kubectl, status = "kubectl --namespace ns", "'--for=jsonpath={.status.jobDeploymentStatus}"
    assert commands(stubs) == [
        f"{kubectl} create configmap raytune-pipe-experiment --from-file=experiment.yaml={file}",
        f"{kubectl} create --filename {cluster}",
        f"{kubectl} wait {status}=Running' --timeout=30m rayjob/it",
        f"{kubectl} logs --follow job/it",
        f"{kubectl} wait {status}=Complete' --timeout=5m rayjob/it",
    ]
    remove = f"{kubectl} delete rayjob/it configmap/raytune-pipe-experiment"
    assert done.stderr.endswith(f"before the next launch: {remove}\n")


@pytest.mark.parametrize(
    ("words", "storage", "said"),
    [
        (["--set", "trials=2"], "/mnt/x", "launches its experiment file as it is"),
        ([], "results", "storage: must be an absolute folder on the shared volume or a URI"),
    ],
)
def test_what_a_ray_job_cannot_do_is_refused(
    stubs: Stubs, file: Path, tmp_path: Path, words: list[str], storage: str, said: str
) -> None:
    file.write_text(file.read_text().replace("/mnt/raytune-pipe/results", storage))
    cluster = filled_in("kuberay-rayjob.yaml", tmp_path)
    done = launch(stubs, file, "--cluster", cluster, *words)
    assert (done.exit_code, stubs.calls) == (2, [])
    assert said in done.stderr


def test_a_slurm_script_is_submitted_with_the_options(
    stubs: Stubs, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / "clusters" / "slurm.sbatch"
    done = launch(stubs, file, "--cluster", script, "--set", "trials=2", "--new", "--analyze")
    assert done.exit_code == 0, done.stderr
    assert commands(stubs) == [f"sbatch {script} {file} --set trials=2 --new --analyze"]
    assert capfd.readouterr().err == "Submitted batch job 7\n"


def test_local_is_a_plain_launch(stubs: Stubs, file: Path) -> None:
    local = ROOT / "clusters" / "local.yaml"
    done = launch(stubs, file, "--cluster", local, LAUNCH_EXIT="4")
    assert done.exit_code == 4, done.stderr
    assert commands(stubs) == [f"raytune-pipe launch {file} --address local"]


@pytest.mark.parametrize("command", ["up", "exec", "dashboard"])
def test_a_step_that_fails_ends_the_launch_and_says_what_to_do(
    stubs: Stubs, file: Path, tmp_path: Path, command: str
) -> None:
    cluster = filled_in("onprem.yaml", tmp_path)
    done = launch(stubs, file, "--cluster", cluster, RAY_FAILS=command)
    assert done.exit_code == 6
    assert re.search(
        rf"^ray {command} .* must succeed, but exited with 5; .*: ray ", done.stderr, re.M
    )
    assert f"costs, until: ray down --yes {cluster}\n" in done.stderr  # it is up all the same
    assert stubs.calls[-1].words[:2] == ["ray", command]


@pytest.mark.parametrize(
    ("shipped", "command", "mend"),
    [
        ("gcp-gpu.yaml", "ray", "raytune-pipe[cluster]"),
        ("kuberay-rayjob.yaml", "kubectl", "point it at your Kubernetes"),
        ("slurm.sbatch", "sbatch", "on a login node"),
    ],
)
def test_a_command_that_is_missing_is_said_before_anything_runs(
    stubs: Stubs,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shipped: str,
    command: str,
    mend: str,
) -> None:
    (stubs.folder / command).unlink()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # no command beside it
    cluster = filled_in(shipped, tmp_path)
    done = launch(stubs, file, "--cluster", cluster, PATH=str(stubs.folder))
    assert (done.exit_code, stubs.calls) == (6, [])
    assert f"the command {command} must be there, but is not on the PATH" in done.stderr
    assert mend in done.stderr


def test_sigterm_ends_the_launch_and_then_the_tunnel(
    stubs: Stubs, file: Path, tmp_path: Path
) -> None:
    words = [str(file), "--cluster", str(filled_in("aws-gpu.yaml", tmp_path))]
    process = subprocess.Popen(
        [sys.executable, "-m", "raytune_pipe", "launch", *words],
        env=environment(stubs, LAUNCH_WAITS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    try:
        while not any(call.event == "waits" for call in stubs.calls):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert [call.event for call in stubs.calls if call.event] == [
        *("reached", "waits", "drained", "ended")
    ]


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda path: path.name)
def test_a_dry_run_shows_the_commands_and_runs_none(
    stubs: Stubs, file: Path, cluster: Path
) -> None:
    done = launch(stubs, file, "--cluster", cluster, "--dry-run")
    assert (done.exit_code, stubs.calls) == (0, []), done.stderr
    for line in done.stdout.splitlines():
        name = shlex.split(line)[0]
        assert name in {"ray", "kubectl", "sbatch", "raytune-pipe"}
    unset = cluster.read_text().count(PLACEHOLDER)
    assert done.stderr.count("to be filled in first: ") == unset
    as_json = launch(stubs, file, "--cluster", cluster, "--dry-run", "--json")
    if cluster.stem != "kuberay-rayjob":  # takes no options
        assert len(json.loads(as_json.stdout)["commands"]) == len(done.stdout.splitlines())


def test_a_token_that_others_can_read_is_refused(stubs: Stubs, file: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    cluster = filled_in("aws-gpu.yaml", tmp_path)
    done = launch(stubs, file, "--cluster", cluster, RAY_AUTH_TOKEN_PATH=str(token))
    assert (done.exit_code, stubs.calls) == (6, [])
    assert f"chmod 600 {token}" in done.stderr
    assert "secret" not in done.output


def test_a_file_that_is_not_filled_in_is_refused(stubs: Stubs, file: Path) -> None:
    cluster = ROOT / "clusters" / "aws-gpu.yaml"
    done = launch(stubs, file, "--cluster", cluster)
    assert (done.exit_code, stubs.calls) == (2, [])
    assert f"{cluster}:24: ImageId: CHANGE-ME" in done.stderr


@pytest.mark.parametrize(
    "words", [["--dry-run"], ["--cluster", "clusters/local.yaml", "--address", "auto"]]
)
def test_options_that_contradict_each_other_are_a_usage_error(
    stubs: Stubs, file: Path, words: list[str]
) -> None:
    done = launch(stubs, file, *words)
    assert (done.exit_code, stubs.calls) == (2, [])
    assert "Usage: " in done.stderr
