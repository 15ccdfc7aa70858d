import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raytune_pipe.tuning import node_checks
from raytune_pipe.tuning.node_checks import (
    address_of,
    code_digest,
    family_of,
    imports,
    interface_of,
    listening,
    room,
)


def test_a_socket_that_listens_is_found_with_its_process() -> None:
    with socket.socket() as one, socket.socket(socket.AF_INET6) as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("::1", 0))
        before = set(listening({os.getpid()}))  # other tests have servers in this process
        one.listen()
        other.listen()
        ports = one.getsockname()[1], other.getsockname()[1]
        found = set(listening({os.getpid()})) - before
        assert found == {f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}"}
        assert listening({1}) == [] or os.getpid() == 1


@pytest.mark.skipif(sys.byteorder == "big", reason="the kernel's text is in the host's order")
def test_addresses_are_read_as_the_kernel_writes_them() -> None:
    assert address_of("0100007F:1F90") == "127.0.0.1:8080"
    assert address_of("00000000:0016") == "0.0.0.0:22"
    assert address_of("00000000000000000000000001000000:0001") == "[::1]:1"
    assert address_of("0000000000000000FFFF00000100007F:0001") == "127.0.0.1:1"
    assert address_of("B80D0120000000000000000007000000:0050") == "[2001:db8::7]:80"


def test_a_family_is_a_process_and_its_descendants() -> None:
    code = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        try:
            while len(family_of(child.pid)) < 2:
                assert child.poll() is None
            family = family_of(child.pid)
            assert child.pid in family
            assert os.getpid() not in family
            assert family < family_of(os.getpid())
        finally:
            for pid in family_of(child.pid):
                os.kill(pid, 9)


def test_imports_are_tried_apart(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("class Net: pass\n")
    (tmp_path / "ends.py").write_text("import os; os._exit(3)\n")
    (tmp_path / "breaks.py").write_text("import not_there\n")
    targets = ["good:Net", "good:Other", "ends:X", "breaks:X", "missing.module:X"]
    why = imports(targets, str(tmp_path))
    assert why == {
        "good:Other": "AttributeError: module 'good' has no attribute 'Other'",
        "ends:X": "importing it exits 3",
        "breaks:X": "ModuleNotFoundError: No module named 'not_there'",
        "missing.module:X": "ModuleNotFoundError: No module named 'missing'",
    }


def test_room_is_that_of_the_file_system(tmp_path: Path) -> None:
    found = room(str(tmp_path / "not" / "yet"))
    assert found is not None
    free, total = found
    assert 0 < free <= total


def test_the_loopback_interface_has_its_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.7") is None


def test_a_digest_tells_copies_of_the_code_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = code_digest("some_package")
    (package / "a.py").write_text("x = 2\n")
    assert before != code_digest("some_package")
    assert code_digest("not_there_at_all") is None


def test_only_the_standard_library_is_needed_on_a_node(tmp_path: Path) -> None:
    """By value, it runs on nodes that lack the package."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1])"
    command = [sys.executable, "-I", "-S", "-c", code, node_checks.__file__]
    subprocess.run(command, check=True, cwd=tmp_path)
