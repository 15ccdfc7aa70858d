"""What is asked on a node: plain facts, judged on the driver.

Sent to the nodes as it is, by value, so that it runs also where this package is missing or another
version of it is installed; so only the standard library is imported.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PACKAGES = ("ray", "torch", "raytune-pipe")
TORCH_WITHIN_S = 60
SIOCGIFADDR = 0x8915


def facts(folders: list[str], ask_torch: bool) -> dict[str, Any]:
    """What this node has.

    Args:
        folders: whose file systems' room is asked for.
        ask_torch: also how many GPUs torch sees, even where the machine has none.
    """
    gpus = gpu_names()
    return {
        "versions": versions(),
        "gpus": gpus,
        "driver": driver_version(),
        "torch": torch_sees() if gpus or ask_torch else None,
        "room": {folder: room(folder) for folder in folders},
        "shm": room("/dev/shm"),
        "memory": memory(),
        "open_files": list(resource.getrlimit(resource.RLIMIT_NOFILE)),
        "listens": listens(),
        "interface": interface_of(own_address()),
    }


def clock() -> float:
    """The time here, in seconds since 1970."""
    return time.time()


def imports(targets: list[str], folder: str) -> dict[str, str]:
    """Why each ``package.module:Name`` cannot be imported here; empty where all can.

    In a process of its own: an import may end it, or never return.
    """
    code = (
        "import importlib, sys\n"
        "module, name = sys.argv[1].split(':')\n"
        "getattr(importlib.import_module(module), name)\n"
    )
    paths = [folder, *filter(None, sys.path)]
    why = {}
    for target in targets:
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, target],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=TORCH_WITHIN_S,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"},
            )
        except subprocess.TimeoutExpired:
            why[target] = f"importing it takes more than {TORCH_WITHIN_S} s"
            continue
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            why[target] = lines[-1] if lines else f"importing it exits {done.returncode}"
    return why


def versions() -> dict[str, str | None]:
    """Versions by package, None where it is missing; and a digest of this package's code."""
    found: dict[str, str | None] = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    found["raytune-pipe's code"] = code_digest("raytune_pipe")
    return found


def code_digest(package: str) -> str | None:
    """A digest of the package's source files: a copy may be older than its version says."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder, digest = Path(spec.origin).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def gpu_names() -> list[str]:
    """The models of the NVIDIA GPUs of this machine, as its driver lists them."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with suppress(OSError):
            lines = dict(
                line.split(":", 1) for line in path.read_text().splitlines() if ":" in line
            )
            names.append(lines.get("Model", "GPU").strip())
    return names


def driver_version() -> str | None:
    """The version of the NVIDIA driver; None where there is none."""
    with suppress(OSError, IndexError):
        words = Path("/proc/driver/nvidia/version").read_text().splitlines()[0].split()
        return next(word for word in words if word[0].isdigit() and "." in word)
    return None


def torch_sees() -> dict[str, Any]:
    """How many GPUs torch can use, and the CUDA it was built for; or the error."""
    code = (
        "import json, torch\n"
        "print(json.dumps({'gpus': torch.cuda.device_count() if torch.cuda.is_available() else 0,"
        " 'cuda': torch.version.cuda}))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=TORCH_WITHIN_S
        )
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, IndexError, ValueError, subprocess.TimeoutExpired) as error:
        return {"error": f"torch does not start: {type(error).__name__}"}
    return seen


def room(folder: str) -> list[int] | None:
    """Free and total bytes of the file system that a folder lies on, or will; None if unknown."""
    path = Path(folder)
    while not path.exists() and path != path.parent:
        path = path.parent
    with suppress(OSError):
        usage = shutil.disk_usage(path)
        return [usage.free, usage.total]
    return None


def memory() -> list[int] | None:
    """Available and total bytes of memory, by the machine's count and the control group's."""
    lines = {}
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, amount = line.partition(":")
            lines[name] = int(amount.split()[0]) * 1024
    if not {"MemAvailable", "MemTotal"} <= lines.keys():
        return None
    available, total = lines["MemAvailable"], lines["MemTotal"]
    with suppress(OSError, ValueError):  # "max" is no number: no limit
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return [min(available, limit - used), min(total, limit)]
    return [available, total]


def listens() -> list[str]:
    """HOST:PORT of each socket that this node's Ray listens on: its raylet and all beneath it."""
    raylet = os.getppid()
    return listening(family_of(raylet) | same_session(raylet))


def same_session(pid: int) -> set[int]:
    """The processes of this user that name the same session of Ray in their command."""
    words = command_of(pid)
    sessions = {part for word in words for part in word.split("/") if part.startswith("session_2")}
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        if any(session in word for session in sessions for word in command_of(int(folder.name))):
            found.add(int(folder.name))
    return found


def command_of(pid: int) -> list[str]:
    """The words that a process was started with; none where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def family_of(pid: int) -> set[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold spaces; the parent is the second field behind it.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    family, todo = set[int](), [pid]
    while todo:
        member = todo.pop()
        if member not in family:
            family.add(member)
            todo += children.get(member, [])
    return family


def listening(pids: set[int]) -> list[str]:
    """HOST:PORT of each TCP socket that one of these processes listens on."""
    inodes = set()
    for pid in pids:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    inodes.add(str(descriptor.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:  # 0A: LISTEN
                    found.add(address_of(fields[1]))
    return sorted(found)


def address_of(text: str) -> str:
    """HOST:PORT from the hexadecimal form of /proc/net/tcp: 32-bit words in the host's order."""
    host, port = text.split(":")
    words = struct.unpack(f">{len(host) // 8}I", bytes.fromhex(host))
    data = struct.pack(f"={len(words)}I", *words)
    if len(data) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, data)}:{int(port, 16)}"
    if data[:12] == b"\0" * 10 + b"\xff\xff":  # an IPv4 address in an IPv6 socket
        return f"{socket.inet_ntop(socket.AF_INET, data[12:])}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, data)}]:{int(port, 16)}"


def own_address() -> str:
    """The address by which Ray knows this node."""
    import ray

    return str(ray.util.get_node_ip_address())


def interface_of(address: str) -> str | None:
    """The name of the network interface that has an IPv4 address; None where none has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(asked.fileno(), SIOCGIFADDR, request)
                if socket.inet_ntoa(answer[20:24]) == address:
                    return name
    return None
