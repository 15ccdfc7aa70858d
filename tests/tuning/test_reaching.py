import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning import reaching
from raytune_pipe.tuning.reaching import is_of_this_host, reach

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Starts a server on the loopback interface that answers as it is told; gives its URL."""
    servers = []

    def start(answer: Answer) -> str:
        class Told(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Told)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_token_does_not_follow_a_redirect(
    serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-secret")
    elsewhere: list[str | None] = []

    def take(request: http.server.BaseHTTPRequestHandler) -> None:
        elsewhere.append(request.headers["Authorization"])
        request.send_error(404)

    other = serve(take)

    def lead_on(request: http.server.BaseHTTPRequestHandler) -> None:
        if request.headers["Authorization"] is None:
            request.send_error(401)
            return
        request.send_response(302)
        request.send_header("Location", other)
        request.end_headers()

    with pytest.raises(ClusterError, match="no Ray dashboard: HTTP status 302") as caught:
        reach(serve(lead_on))
    assert elsewhere == []
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"version": "4"}', b"\xff"])
def test_what_is_no_dashboard_is_told(serve: Callable[[Answer], str], body: bytes) -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with pytest.raises(ClusterError, match="what listens there is no Ray dashboard"):
        reach(serve(answer))


def test_what_is_no_head_is_told_in_time(
    serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own client would go on asking it for 40 s."""
    monkeypatch.setattr(reaching, "ANSWER_WITHIN_S", 2.0)
    url = serve(lambda request: request.send_error(404))
    with pytest.raises(ClusterError, match="does not answer as Ray does") as caught:
        reach(url.removeprefix("http://"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}", "https://127.0.0.1:{}"])
def test_a_closed_port_is_told_at_once(form: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        with pytest.raises(ClusterError, match=r"none does \(.*Connection refused\)"):
            reach(form.format(taken.getsockname()[1]))


@pytest.mark.parametrize("address", ["host", ":1", "127.0.0.1:x", "ray://h:1", "127.0.0.1:99999"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match="must be auto or HOST:PORT, but got"):
        reach(address)


def test_a_dashboard_of_an_odd_address_is_no_bug() -> None:
    for url in ("http://", "http://127.0.0.1:x", "http://[::1"):
        with pytest.raises(ClusterError, match="must answer there"):
            reach(url)


def test_addresses_of_this_machine_are_known() -> None:
    assert is_of_this_host("127.0.0.1")
    assert not is_of_this_host("192.0.2.7")  # reserved for documentation: nobody has it


def test_a_module_in_the_current_folder_does_not_stand_in_for_rays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[Answer], str]
) -> None:
    (tmp_path / "ray.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reaching, "ANSWER_WITHIN_S", 2.0)
    with pytest.raises(ClusterError):
        reach(serve(lambda request: request.send_error(404)).removeprefix("http://"))
    assert not (tmp_path / "canary").exists()
