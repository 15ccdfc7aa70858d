import os
import sys
import zipfile
from pathlib import Path

import pytest

from raytune_pipe.base import ClusterError, ConfigError
from raytune_pipe.tuning import job_upload
from raytune_pipe.tuning.job_upload import collect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def put(folder: Path, *names: str, text: str = "x") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(folder: Path, experiment: Path | None = None) -> list[str]:
    return [name for name, _ in collect(folder, experiment).files]


def test_what_has_no_business_elsewhere_stays_and_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "nets.py", "data/table.csv", "package/__init__.py")
    put(folder, ".git/config", "package/__pycache__/nets.pyc", ".mypy_cache/x")
    put(folder, "results/far/journal.jsonl", "results/far/trials.parquet", "results/notes.txt")
    put(folder, "env/pyvenv.cfg", "env/lib/x.py", "other/conda-meta/history")
    put(folder, ".env", "deploy/.env.local", "key.pem", ".ssh/id_rsa", "a/id_ed25519.pub")
    put(folder, "my-own-token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(folder / "my-own-token"))
    upload = collect(folder, None)
    assert [name for name, _ in upload.files] == [
        *("data/table.csv", "nets.py", "package/__init__.py", "results/notes.txt")
    ]
    assert upload.left_out == {
        **{"version control": 1, "caches": 2, "results": 1, "virtual environments": 2},
        "secrets": 6,
    }
    assert upload.summary().startswith(f"4 files, 4 bytes of {folder}; left out: ")


def test_ignore_files_are_read_as_git_reads_them(tmp_path: Path, folder: Path) -> None:
    put(tmp_path, ".gitignore", text="*.log\n/work/top.txt\n")
    put(tmp_path, ".git/HEAD")
    put(folder, ".gitignore", text="build/\n!keep.log\n# a comment\n")
    put(folder, ".rayignore", text="large.bin\n")
    put(folder, "deep/.gitignore", text="!large.bin\n*.tmp\n")
    put(folder, "a.log", "keep.log", "top.txt", "build/x", "large.bin")
    put(folder, "deep/large.bin", "deep/b.tmp", "deep/c.log", "b.tmp")
    assert names(folder) == [
        *(".gitignore", ".rayignore", "b.tmp", "deep/.gitignore", "deep/large.bin", "keep.log")
    ]


def test_a_missing_reader_of_ignore_files_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "nets.py")
    monkeypatch.setitem(sys.modules, "pathspec", None)
    assert names(folder) == ["nets.py"]
    put(folder, ".gitignore")
    with pytest.raises(ClusterError, match=r"raytune-pipe\[cluster\]"):
        collect(folder, None)


def test_links_travel_as_what_they_lead_to_within_the_folder(tmp_path: Path, folder: Path) -> None:
    put(tmp_path, "outside.txt", text="secret")
    put(folder, "inside.txt", text="open")
    (folder / "good").symlink_to("inside.txt")
    (folder / "bad").symlink_to(tmp_path / "outside.txt")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "nowhere").symlink_to("nothing")
    os.mkfifo(folder / "pipe")
    upload = collect(folder, None)
    assert [name for name, _ in upload.files] == ["good", "inside.txt"]
    assert upload.left_out == {"links": 3, "sockets and pipes": 1}


def test_the_experiment_travels_wherever_it_lies(tmp_path: Path, folder: Path) -> None:
    put(folder, ".gitignore", text="ignored.yaml\n")
    put(folder, "ignored.yaml", "nets.py")
    put(tmp_path, "elsewhere.yaml")
    inside = collect(folder, folder / "ignored.yaml")
    assert inside.experiment == "ignored.yaml"
    assert "ignored.yaml" in dict(inside.files)
    outside = collect(folder, tmp_path / "elsewhere.yaml")
    assert outside.experiment == ".raytune-pipe/elsewhere.yaml"
    assert dict(outside.files)[outside.experiment] == tmp_path / "elsewhere.yaml"


def test_the_same_files_give_the_same_archive(tmp_path: Path, folder: Path) -> None:
    put(folder, "b.py", "a/c.py", text="1")
    archives = []
    for time in (1e9, 1.5e9):
        os.utime(folder / "b.py", (time, time))
        archive = tmp_path / f"{time:g}.zip"
        collect(folder, None).write_zip(archive)
        archives.append(archive.read_bytes())
    assert archives[0] == archives[1]
    with zipfile.ZipFile(tmp_path / "1e+09.zip") as archive_file:
        assert archive_file.testzip() is None
        assert {one: archive_file.read(one) for one in archive_file.namelist()} == {
            "a/c.py": b"1",
            "b.py": b"1",
        }


def test_too_much_names_the_largest_and_how_to_leave_it_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "data/images/1.bin", "data/images/2.bin", text="x" * 3_000_000)
    put(folder, "nets.py")
    monkeypatch.setattr(job_upload, "MOST_BYTES", 5 * 2**20)
    with pytest.raises(ConfigError) as error:
        collect(folder, None)
    assert str(error.value).startswith(f"{folder}: what travels with a job must have at most 5.0 ")
    assert "the largest: data/images (5.7 MiB, 2 files), nets.py (1 bytes" in str(error.value)
    assert f"{folder / '.rayignore'}" in str(error.value)
    put(folder, ".rayignore", text="data/images/\n")
    assert names(folder) == [".rayignore", "nets.py"]
    monkeypatch.setattr(job_upload, "MOST_FILES", 1)
    with pytest.raises(ConfigError, match=r"in 1 files, but has .* in 2;"):
        collect(folder, None)
