"""Files of Ray's cluster launcher, against the schema that Ray ships; all files, what they pin."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ["aws-gpu.yaml", "gcp-gpu.yaml", "onprem.yaml"]
PINS = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


def read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "clusters" / name).read_text()))


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as `ray up` takes it, with Ray's defaults; it is checked."""
    # The one use of these private names: `ray up` itself asks the provider for prices and images.
    from ray.autoscaler._private.util import prepare_config, validate_config

    complete = prepare_config(config)
    validate_config(complete)
    return dict(complete)


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_the_file(name: str) -> None:
    config = read(name)
    complete = prepared(config)
    assert all(complete[key] == value for key, value in config.items() if key in STARTS)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("key", "value"), [("setup_comands", []), ("idle_timeout_minutes", "8")])
def test_ray_refuses_a_fault_in_the_file(name: str, key: str, value: object) -> None:
    from jsonschema import ValidationError

    with pytest.raises(ValidationError):
        prepared({**read(name), key: value})


@pytest.mark.parametrize("name", ["aws-gpu.yaml", "gcp-gpu.yaml"])
def test_gpu_nodes_are_of_the_spot_market_and_one_is_up(name: str) -> None:
    config = prepared(read(name))
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    gpu = types["gpu"]
    assert gpu["resources"]["GPU"] == 1
    assert 1 <= gpu["min_workers"] <= gpu["max_workers"] <= config["max_workers"]
    market = gpu["node_config"].get("InstanceMarketOptions") or gpu["node_config"]["scheduling"]
    assert "spot" in str(market).lower()
    assert config["idle_timeout_minutes"] > 0


@pytest.mark.parametrize("name", FILES)
def test_every_ray_asks_for_the_token_and_no_dashboard_is_on_the_network(name: str) -> None:
    config = prepared(read(name))
    for key in STARTS:
        starts = [each for each in config[key] if "ray start" in each]
        assert len(starts) == 1
        assert re.search(r"RAY_AUTH_MODE=token\b.* ray start", starts[0])
    assert "--dashboard-host=127.0.0.1 " in config["head_start_ray_commands"][-1]
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"][0]
    text = (ROOT / "clusters" / name).read_text()
    assert "0.0.0.0" not in text
    assert not re.search(r"RAY_AUTH_TOKEN=|ssh_private_key: -----", text)


def test_machines_of_others_keep_their_own_ray() -> None:
    for key in STARTS:
        assert not any("ray stop" in command for command in read("onprem.yaml")[key])


@pytest.mark.parametrize("name", FILES)
def test_shell_commands_of_the_file_are_shell(name: str) -> None:
    config = read(name)
    bash = shutil.which("bash")
    assert bash
    for key in ("setup_commands", "head_setup_commands", *STARTS):
        for command in config.get(key, []):
            done = subprocess.run([bash, "-n", "-c", command], capture_output=True, check=False)
            assert done.returncode == 0, command


@pytest.mark.parametrize("path", sorted((ROOT / "clusters").iterdir()), ids=lambda path: path.name)
def test_versions_are_those_of_the_constraints(path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = path.read_text()
    for package, version in re.findall(r"(ray|torch)(?:\[\w+\])?==([\d.]+)", text):
        assert version == PINS[package]
    for version in re.findall(r"rayproject/ray:([\d.]+)|rayVersion: \"?([\d.]+)", text):
        assert "".join(version) == PINS["ray"]
    for version in re.findall(r"raytune[-_]pipe(?:-|:)(\d[\d.]*\d)", text):
        assert version == project["version"]


def test_what_the_default_does_is_written_down_as_it_is() -> None:
    from raytune_pipe.tuning.cluster import LOCAL_ENVIRONMENT

    text = (ROOT / "clusters" / "local.yaml").read_text()
    assert yaml.safe_load(text) == {"kind": "local"}
    for name, value in LOCAL_ENVIRONMENT.items():
        assert f"({name}={value})" in text


def test_ray_knows_the_commands_that_are_run() -> None:
    from ray.scripts.scripts import cli

    from raytune_pipe.tuning.cluster_files import Launch, course_of

    path = ROOT / "clusters" / "onprem.yaml"
    course = course_of(path, Launch("x.yaml", (), "/mnt/x"))
    of_ray = [step.words[1:] for step in course.steps if step.words[0] == "ray"]
    of_ray.append(tuple(shlex.split(course.afterwards.partition(": ray ")[2])))
    assert [name for name, *_ in of_ray] == ["up", "exec", "dashboard", "down"]
    for name, *words in of_ray:
        context = cli.commands[name].make_context(name, list(words))  # raises on an unknown option
        assert context.params["cluster_config_file"] == str(path)
