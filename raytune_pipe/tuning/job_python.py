"""The Python of a cluster's head: found through a job, and compared with this one."""

import json
import platform
import shlex
from importlib.metadata import version
from typing import NamedTuple

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.jobs import Jobs

FIND = (
    "p=$PPID; y=; "
    'while [ -z "$y" ] && [ "${p:-0}" -gt 1 ]; do '
    "y=$(tr '\\0' '\\n' 2>/dev/null < /proc/$p/cmdline | "
    "sed -n 's/^--python_worker_command=\"\\{0,1\\}\\([^\" ]*\\).*/\\1/p'); "
    "p=$(sed 's/.*) [A-Z] \\([0-9]*\\).*/\\1/' /proc/$p/stat 2>/dev/null); done; "
    'exec "${y:-python3}"'
)
"""A line for a shell: the interpreter with which the head's Ray starts its workers.

A job runs under the PATH of whoever started the head, where no or another Python may come first.
The raylet, which stands above the job's processes, names the right one in its command line.
"""

_TELL = """\
import json, platform, sys
from importlib.metadata import distributions
names = ("ray", "raytune-pipe")
found = {name: one.version for name in names for one in distributions(name=name)}
print(json.dumps({"executable": sys.executable, "python": platform.python_version(), **found}))
"""


class HeadPython(NamedTuple):
    """The interpreter of a head, with which jobs run."""

    executable: str

    def command(self, *words: str) -> str:
        """A line for a shell that runs this package's command with these words."""
        return "exec " + shlex.join([self.executable, "-m", "raytune_pipe", *words])

    def module(self, name: str, *words: str) -> str:
        """A line for a shell that runs one of this package's modules."""
        return "exec " + shlex.join([self.executable, "-m", f"raytune_pipe.{name}", *words])


def require_python(jobs: Jobs) -> HeadPython:
    """The head's interpreter, whose version and whose packages must be ours.

    Raises:
        ClusterError: they are not, or raytune-pipe is not installed there.
    """
    one_line = f"exec({_TELL!r})"
    answer = jobs.run(f"{FIND} -c {shlex.quote(one_line)}")
    try:
        told = json.loads(answer.output.strip().rpartition("\n")[2])
        executable, python = str(told["executable"]), str(told["python"])
    except (ValueError, KeyError, TypeError) as error:
        last = answer.output.strip().rpartition("\n")[2] or "nothing"
        raise ClusterError(
            f"--address {jobs.address}: the head must find its Python, but got: {last}; put its "
            "folder first on the PATH of the shell that runs `ray start`"
        ) from error
    _require_equal(jobs, "Python", _minor(python), _minor(platform.python_version()), executable)
    _require_equal(jobs, "Ray", told.get("ray"), version("ray"), executable)
    ours = version("raytune-pipe")
    _require_equal(jobs, "raytune-pipe", told.get("raytune-pipe"), ours, executable)
    return HeadPython(executable)


def _require_equal(jobs: Jobs, what: str, found: str | None, ours: str, executable: str) -> None:
    if found == ours:
        return
    got = f"the head has {found}" if found else "the head has none"
    mend = (
        "use one environment for both"
        if what == "Python"
        else f"there: {shlex.quote(executable)} -m pip install {what.lower()}=={ours}"
    )
    raise ClusterError(
        f"--address {jobs.address}: {what} must have one version on both sides, but {got} "
        f"({executable}) and this machine {ours}; {mend}"
    )


def _minor(version_: str) -> str:
    return ".".join(version_.split(".")[:2])
