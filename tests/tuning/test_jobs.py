"""Heads that take no job from here; what Ray's client would say is never seen."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.jobs import Jobs, is_job_address, is_rays, new_job


@contextmanager
def head_of(version: str) -> Iterator[str]:
    """A head's dashboard, as far as it tells its version of Ray."""

    class Dashboard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server calls it so
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"ray_version": version}).encode())

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Dashboard) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_a_head_with_another_ray_is_refused() -> None:
    with head_of("2.1.0") as address, pytest.raises(ClusterError) as error:
        Jobs(address)
    assert str(error.value).startswith(f"--address {address}: Ray must have one version")
    assert "the head has 2.1.0 and this machine" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_closed_port_is_one_line() -> None:
    with pytest.raises(ClusterError, match=r"^--address http://127.0.0.1:1: .*\Z"):
        Jobs("http://127.0.0.1:1")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ClusterError, match=r'aiohttp, .*pip install "raytune-pipe\[cluster\]"'):
        Jobs("http://127.0.0.1:1")


def test_addresses_of_jobs_are_urls() -> None:
    urls = ["http://host:8265", "https://host"]
    assert [is_job_address(one) for one in (*urls, "auto", "host:1")] == [True, True, False, False]


def test_a_job_has_a_name_of_its_own_that_begins_with_the_experiments() -> None:
    made = {new_job("pbt_resnet") for _ in range(20)}
    assert len(made) == 20
    assert all(one.startswith("pbt_resnet-") for one in made)


def test_only_rays_own_lines_are_told_apart() -> None:
    assert is_rays("Running entrypoint for job a-1: exec python -m raytune_pipe launch")
    assert is_rays("2026-01-01 00:00:00,000\tINFO job_manager.py:581 -- Runtime env is setting up.")
    assert not is_rays("     0.0 s  00000 started")
