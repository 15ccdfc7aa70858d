import socket
import subprocess
import sys
from pathlib import Path

from raytune_pipe.training.process_group import backend_for, interface_of, listening_socket

ALONE = """
import torch
from tests.training.ranks import LOOPBACK, SHAPES, norms
from raytune_pipe.networks.synchronized_batch_norm import synchronize_batch_norms
from raytune_pipe.training.process_group import join, listening_socket
from raytune_pipe.training.world import World
listening = listening_socket(LOOPBACK)
port = listening.getsockname()[1]
for time in range(2):
    join(World(0, 1), device="cpu", own_address=LOOPBACK, address=LOOPBACK, port=port,
         listening=listening)
    total = torch.ones(3)
    torch.distributed.all_reduce(total)
    assert total.tolist() == [1, 1, 1]
    torch.distributed.destroy_process_group()
    listening = listening_socket(LOOPBACK)
    port = listening.getsockname()[1]
"""


def test_a_group_is_joined_and_left_as_often_as_asked() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-W", "error", "-c", ALONE], cwd=root)
    assert done.returncode == 0


def test_a_socket_listens_on_its_address_alone() -> None:
    with listening_socket("127.0.0.1") as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        socket.create_connection((host, port), timeout=5).close()


def test_the_interface_of_an_address_is_found() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.1") is None  # kept for documentation, so nobody's


def test_ranks_that_share_a_gpu_do_without_nccl() -> None:
    assert backend_for(["", ""]) == "gloo"
    assert backend_for(["one", "other"]) == "cpu:gloo,cuda:nccl"
    assert backend_for(["one", "one"]) == "gloo"
