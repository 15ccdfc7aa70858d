"""Storage faults, the full set: small disks, failing ones, and a crash at every operation.

40 disks of 1 to 40 MB that are full in the middle of a run, EROFS, EACCES, EIO, a folder that is
moved away or deleted (see `faulty_storage`); and every state that a crash at any operation on the
files of a run can leave (see `crash_points`). All without Ray.

    python -m benchmarks.storage_faults
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.crash_points import SCHEDULERS, recover_all
from benchmarks.faulty_storage import Outcome, can_mount, compiled_eio, in_namespace


@click.command()
@click.option("--disks", default=40, show_default=True, help="Disks of 1, 2, ... MB.")
@click.option("--every", default=1, show_default=True, help="Take every n-th crash alone.")
def main(disks: int, every: int) -> None:
    """Break storages, go on with the runs, and count what was lost."""
    began = time.monotonic()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        sizes = [str(size_mb) for size_mb in range(1, disks + 1)]
        wrong += _show(break_storages(Path(folder), sizes))
        for scheduler in SCHEDULERS:
            crashed = Path(folder) / scheduler
            crashed.mkdir()
            found, crashes = recover_all(scheduler, crashed, every=every)
            taken = ", ".join(f"{count} {kind}" for kind, count in sorted(found.points.items()))
            click.echo(
                f"crashes, {scheduler}: {sum(found.points.values())} of {crashes} states ({taken}; "
                f"{found.before_any_plan} before any plan): acknowledged {found.acknowledged}, "
                f"lost {found.lost}, duplicated {found.duplicated}, wrong {len(found.wrong)}"
            )
            wrong += found.wrong
    click.echo(f"{time.monotonic() - began:.0f} s")
    for what in wrong:
        click.echo(f"WRONG {what}")
    sys.exit(1 if wrong else 0)


def break_storages(folder: Path, sizes: Sequence[str]) -> list[Outcome]:
    """All cases that this machine allows."""
    found: list[Outcome] = []
    for name in ("disks", "others", "eio"):
        (folder / name).mkdir()
    if can_mount():
        found += in_namespace(folder / "disks", [*sizes, "EROFS"])
    else:
        click.echo("left out, as no disk can be mounted here: full disks, EROFS")
    others = ["EACCES", "moved away", "deleted"]
    found += in_namespace(folder / "others", others, without_override=True)
    if library := compiled_eio(folder):
        cases = ["EIO", "EIO at a flush"]
        found += in_namespace(folder / "eio", cases, without_override=True, preload=library)
    else:
        click.echo("left out, as there is no C compiler here: EIO")
    return found


def _show(outcomes: Sequence[Outcome]) -> list[str]:
    click.echo("storage                acknowledged  lost  duplicated  failed at")
    for one in outcomes:
        failed_at = one.message.partition(": must")[0].partition("/run/")[2]
        click.echo(
            f"{one.case:22} {one.acknowledged:12} {one.lost:5} {one.duplicated:11}  {failed_at}"
        )
    return [f"{one.case}: {what}" for one in outcomes for what in one.wrong] + [
        f"{one.case}: {one.lost} lost, {one.duplicated} duplicated"
        for one in outcomes
        if one.lost or one.duplicated
    ]


if __name__ == "__main__":
    main()
