"""How the ranks of a trial find each other, on the address of their node and on no other."""

import fcntl
import os
import socket
import struct
import warnings
from datetime import timedelta

import torch
import torch.distributed as dist

from raytune_pipe.training.world import World

TIMEOUT = timedelta(minutes=30)
"""Longest wait for the other ranks; a trial that hangs is ended by its own time limit."""

_SIOCGIFADDR = 0x8915
"""Linux's request for the IPv4 address of an interface."""


def listening_socket(address: str) -> socket.socket:
    """A socket at a free port of this address alone; torch's own would listen on all of them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.bind((address, 0))
    listening.listen()
    return listening


def join(
    world: World,
    *,
    device: str,
    own_address: str,
    address: str,
    port: int,
    listening: socket.socket | None = None,
) -> None:
    """Make this process one of the ranks; returns once all have come.

    Args:
        world: Which one it is.
        device: What they train on: cpu or cuda.
        own_address: The IP address of this node, at which the other ranks reach this one.
        address: The IP address of rank 0.
        port: At which rank 0 listens.
        listening: The socket there, on rank 0.
    """
    _bind_to(own_address)
    store = dist.TCPStore(  # type: ignore[attr-defined]  # exported, but not in its stubs
        address,
        port,
        world.size,
        is_master=listening is not None,
        timeout=TIMEOUT,
        wait_for_workers=False,
        master_listen_fd=None if listening is None else listening.detach(),
    )
    gpu = _gpu() if device == "cuda" else None
    store.set(f"gpu of {world.rank}", gpu or "")
    gpus = [store.get(f"gpu of {rank}").decode() for rank in range(world.size)]
    dist.init_process_group(
        backend_for(gpus), store=store, rank=world.rank, world_size=world.size, timeout=TIMEOUT
    )
    # Whether a user's model leaves weights out is not known, so DDP is told that it may.
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")


def backend_for(gpus: list[str]) -> str:
    """What the ranks exchange tensors by, given the GPU of each ('' for none).

    NCCL refuses two ranks on one GPU, where several workers are given a share of it each.
    """
    apart = all(gpus) and len(set(gpus)) == len(gpus)
    return "cpu:gloo,cuda:nccl" if apart else "gloo"


def interface_of(address: str) -> str | None:
    """The name of the network interface with this IPv4 address; None if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # it has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None


def _bind_to(address: str) -> None:
    """Have gloo and NCCL use the interface of the address; they take the host's name otherwise."""
    name = interface_of(address)
    if name is not None:
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = name


def _gpu() -> str:
    return str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
