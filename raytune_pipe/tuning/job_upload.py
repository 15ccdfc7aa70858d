"""What is sent with a job: the working directory without what has no business elsewhere."""

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from raytune_pipe.base import ClusterError, ConfigError
from raytune_pipe.results.journal import JOURNAL

MOST_BYTES = 100 * 2**20
"""Of all files together, before they are compressed; Ray itself takes 500 MiB compressed."""
MOST_FILES = 20_000
EXPERIMENTS = ".raytune-pipe"
"""Folder of the experiment's file within the upload, where that lies elsewhere."""
IGNORE_FILES = (".gitignore", ".rayignore")
"""Files that name what is left out, as git reads them."""

_FOLDERS = {
    **dict.fromkeys((".git", ".hg", ".svn"), "version control"),
    **dict.fromkeys(("__pycache__", "node_modules", ".ipynb_checkpoints"), "caches"),
    **dict.fromkeys((".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox"), "caches"),
    **dict.fromkeys((".ssh", ".aws", ".azure", ".gnupg", ".kube", ".ray", ".docker"), "secrets"),
    ".venv": "virtual environments",
}
"""Names of folders that never travel, and why."""
_MARKS = {
    JOURNAL: "results",
    "pyvenv.cfg": "virtual environments",
    "conda-meta": "virtual environments",
}
"""What a folder that never travels has in it, and why."""
_SECRETS = (
    *(".env", ".env.*", "*.env", ".netrc", ".pypirc", ".git-credentials", ".npmrc"),
    *("auth_token", "*.token", "*.pem", "*.key", "*.p12", "id_rsa*", "id_ed25519*", "id_ecdsa*"),
    *("credentials", "credentials.json", "*service_account*.json"),
    *("secrets.json", "secrets.toml", "secrets.yaml", "secrets.yml"),
)
"""Names of files that hold keys; no job needs them, since variables go by `env_passthrough`."""


@dataclass(frozen=True)
class Upload:
    """The files that travel, and how many were left out for which reason."""

    folder: Path
    files: tuple[tuple[str, Path], ...]
    """Each file's name in the upload, and where it lies."""
    experiment: str
    """The name in it of the experiment's file; empty where none travels."""
    left_out: Counter[str]
    """Files and folders by reason."""

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file by its name in the upload."""
        return {name: path.stat().st_size for name, path in self.files}

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(self.sizes.values())

    def summary(self) -> str:
        """The size, the number of files and what was left out, as one line."""
        left_out = ", ".join(f"{reason} ({count})" for reason, count in self.left_out.items())
        without = f"; left out: {left_out}" if left_out else ""
        count = len(self.files)
        files = f"{count:,} file{'' if count == 1 else 's'}"
        return f"{files}, {in_words(self.bytes)} of {self.folder}{without}"

    def write_zip(self, path: Path) -> None:
        """Write the files into an archive; the same files always give the same bytes.

        Raises:
            ConfigError: a file cannot be read.
        """
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, source in self.files:
                entry = zipfile.ZipInfo(name)  # of 1980: what is equal is sent once
                entry.external_attr = 0o600 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                try:
                    archive.writestr(entry, source.read_bytes())
                except OSError as error:
                    raise ConfigError(
                        f"{source}: must be readable to travel with the job, but got: "
                        f"{error.strerror}; name it in {ignore_file(self.folder)} to leave it out"
                    ) from error


def collect(folder: Path, experiment: Path | None) -> Upload:
    """What travels of a folder, and the experiment's file wherever it lies.

    Left out: version control, results, virtual environments, caches, keys, links that lead out of
    the folder, and what `.gitignore` and `.rayignore` name.

    Raises:
        ConfigError: there is too much; names the largest, and how to leave them out.
        ClusterError: the package that reads `.gitignore` is not installed.
    """
    folder = folder.absolute()
    left_out = Counter[str]()
    files = dict(_Walk(folder, left_out).files())
    name = ""
    if experiment is not None:
        experiment = experiment.absolute()
        is_inside = experiment.is_relative_to(folder)
        name = (
            experiment.relative_to(folder).as_posix()
            if is_inside
            else f"{EXPERIMENTS}/{experiment.name}"
        )
        files[name] = experiment
    upload = Upload(folder, tuple(sorted(files.items())), name, left_out)
    _require_small(upload)
    return upload


def in_words(count: int) -> str:
    """A number of bytes as people write it."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def ignore_file(folder: Path) -> Path:
    """The file to name what shall be left out."""
    return folder / IGNORE_FILES[1]


def _require_small(upload: Upload) -> None:
    if upload.bytes <= MOST_BYTES and len(upload.files) <= MOST_FILES:
        return
    by_top, counts = Counter[str](), Counter[str]()
    for name, size in upload.sizes.items():
        top = "/".join(PurePosixPath(name).parts[:2])
        by_top[top] += size
        counts[top] += 1
    is_size = upload.bytes > MOST_BYTES
    largest = ", ".join(
        f"{name} ({in_words(by_top[name])}, {counts[name]:,} files)"
        for name, _ in (by_top if is_size else counts).most_common(5)
    )
    raise ConfigError(
        f"{upload.folder}: what travels with a job must have at most {in_words(MOST_BYTES)} in "
        f"{MOST_FILES:,} files, but has {in_words(upload.bytes)} in {len(upload.files):,}; the "
        f"largest: {largest}; name what the trials do not need in {ignore_file(upload.folder)} "
        "(as in .gitignore), put data where all nodes see it, or launch from another folder"
    )


class _Walk:
    """One walk through a folder, in which each folder may name what is left out beneath it."""

    def __init__(self, folder: Path, left_out: Counter[str]) -> None:
        self.folder = folder
        self.left_out = left_out
        token = os.environ.get("RAY_AUTH_TOKEN_PATH")
        self.token = Path(token).absolute() if token else None

    def files(self) -> Iterator[tuple[str, Path]]:
        """Each file's name relative to the folder, and its path."""
        rules = [rule for above in _repository_above(self.folder) for rule in _rules(above)]
        yield from self._files(self.folder, rules)

    def _files(self, folder: Path, rules: "list[_Rules]") -> Iterator[tuple[str, Path]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise ConfigError(
                f"{folder}: must be readable to travel with the job, but got: {error.strerror}; "
                f"name it in {ignore_file(self.folder)} to leave it out"
            ) from error
        rules = [*rules, *_rules(folder)]
        for entry in entries:
            path = Path(entry.path)
            is_folder = entry.is_dir(follow_symlinks=False)
            reason = self._reason(entry, path, is_folder, rules)
            if reason:
                self.left_out[reason] += 1
            elif is_folder:
                yield from self._files(path, rules)
            else:
                yield path.relative_to(self.folder).as_posix(), path

    def _reason(
        self, entry: "os.DirEntry[str]", path: Path, is_folder: bool, rules: "list[_Rules]"
    ) -> str | None:
        """Why something is left out; None where it travels."""
        if is_folder:
            marks = [why for mark, why in _MARKS.items() if (path / mark).exists()]
            found = _FOLDERS.get(entry.name) or (marks[0] if marks else None)
        else:
            is_secret = any(fnmatchcase(entry.name.lower(), each) for each in _SECRETS)
            found = "secrets" if is_secret or path == self.token else None
        if found:
            return found
        if _is_ignored(path, is_folder, rules):
            return "ignored"
        if entry.is_symlink():
            target = path.resolve()
            is_inside = target.is_file() and target.is_relative_to(self.folder.resolve())
            return None if is_inside else "links"
        return None if is_folder or entry.is_file() else "sockets and pipes"


_Rules = tuple[Path, Any]
"""A folder, and the patterns (`pathspec.GitIgnoreSpec`) that it has for what lies in it."""


def _rules(folder: Path) -> list[_Rules]:
    """What the ignore files right in a folder say."""
    found = [folder / name for name in IGNORE_FILES if (folder / name).is_file()]
    if not found:
        return []
    try:
        from pathspec import GitIgnoreSpec
    except ImportError as error:
        raise ClusterError(
            f"{found[0]}: reading it needs the package pathspec, which is not installed; run: "
            'pip install "raytune-pipe[cluster]"'
        ) from error
    rules = []
    for path in found:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            rules.append((folder, GitIgnoreSpec.from_lines(lines)))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: must be as git reads it, but got: {error}") from error
    return rules


def _is_ignored(path: Path, is_folder: bool, rules: list[_Rules]) -> bool:
    """Whether the last pattern that fits says so, the deepest folder's last, as git reads them."""
    for folder, patterns in reversed(rules):
        name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        verdict = patterns.check_file(name).include
        if verdict is not None:
            return bool(verdict)
    return False


def _repository_above(folder: Path) -> list[Path]:
    """The folders above that belong to the same repository, the outermost first."""
    if (folder / ".git").exists():
        return []
    for number, above in enumerate(folder.parents):
        if (above / ".git").exists():
            return list(reversed(folder.parents[: number + 1]))
    return []
