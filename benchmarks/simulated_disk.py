"""What is on a disk after a crash at any operation: recorded operations, applied up to there.

`recorded` notes every operation beneath a folder that changes it or flushes it: it stands between
the program and the operating system, files written through Python's own objects included.
`crashes` then tells what a crash at each of them can leave.
"""

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

Kind = Literal["clean", "torn", "dropped", "names kept"]
Image = dict[str, bytes | None]
"""Files by path relative to the folder; None for a folder."""


@dataclass
class File:
    """A file, as it is and as a power cut would leave it."""

    data: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""


@dataclass
class Folder:
    """Likewise a folder: its entries are flushed apart from what they name."""

    entries: dict[str, "File | Folder"] = field(default_factory=dict)
    flushed: dict[str, "File | Folder"] = field(default_factory=dict)


Node = File | Folder


@dataclass(frozen=True)
class Operation:
    """One operation; the nodes are those of its recording, and stand for themselves."""

    name: Literal["enter", "leave", "write", "truncate", "flush", "told"]
    node: Node
    entry: str = ""
    target: Node | None = None
    """With ``enter``: what gets the name."""
    left: "tuple[Folder, str] | None" = None
    """With ``enter``: where the target had a name until then, which it loses in the same step."""
    data: bytes = b""
    offset: int = 0

    def apply(self, share: float = 1.0) -> None:
        """Do it to the nodes, or no more than a share of a write."""
        node = self.node
        if isinstance(node, Folder):
            if self.name == "enter" and self.target is not None:
                if self.left:
                    self.left[0].entries.pop(self.left[1])
                node.entries[self.entry] = self.target
            elif self.name == "leave":
                node.entries.pop(self.entry)
            elif self.name == "flush":
                node.flushed = dict(node.entries)
        elif self.name == "write":
            part = self.data[: int(len(self.data) * share)]
            node.data.extend(bytes(max(0, self.offset - len(node.data))))
            node.data[self.offset : self.offset + len(part)] = part
        elif self.name == "truncate":
            del node.data[self.offset :]
        elif self.name == "flush":
            node.flushed = bytes(node.data)


@dataclass(frozen=True)
class Crash:
    """What a crash leaves, and how much had been told to be on disk by then."""

    number: int
    """Of the operation that did not happen, or not as a whole."""
    operation: str
    kind: Kind
    image: Image
    told: int


class Recording:
    """The operations beneath a folder, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operations: list[Operation] = []
        self._top = Folder()
        self._open: dict[int, Node] = {}
        """By descriptor."""

    def told(self) -> None:
        """Note that someone was told that all so far is on disk."""
        self._note(Operation("told", self._top))

    def crashes(self) -> Iterator[Crash]:
        """What a crash at each operation leaves, each different state once.

        A clean one leaves all that came before it; a torn one half of a write besides; with the
        unflushed dropped there is only what was flushed, names and contents apart; with the names
        kept, names are as they were, but files hold only what was flushed.
        """
        for node in {id(each.node): each.node for each in self.operations}.values():
            _clear(node)
        for operation in self.operations:
            if operation.target:
                _clear(operation.target)
        told, found = 0, dict[tuple[Any, ...], Crash]()
        for number, operation in enumerate([*self.operations, Operation("told", self._top)]):
            images: dict[Kind, Image] = {
                "clean": self._image(flushed_names=False, flushed_data=False),
                "dropped": self._image(flushed_names=True, flushed_data=True),
                "names kept": self._image(flushed_names=False, flushed_data=True),
            }
            if operation.name == "write" and isinstance(operation.node, File):
                before = bytes(operation.node.data)
                operation.apply(share=0.5)
                images["torn"] = self._image(flushed_names=False, flushed_data=False)
                operation.node.data[:] = before
            for kind, image in images.items():
                # The last of equal ones: by then the most was told to be on disk.
                key = tuple(sorted(image.items(), key=lambda item: item[0]))
                found[key] = Crash(number, operation.name, kind, image, told)
            operation.apply()
            told += operation.name == "told"
        yield from found.values()

    def _image(self, *, flushed_names: bool, flushed_data: bool) -> Image:
        image: Image = {}

        def add(folder: Folder, above: str) -> None:
            entries = folder.flushed if flushed_names else folder.entries
            for name, node in entries.items():
                if isinstance(node, Folder):
                    image[above + name] = None
                    add(node, f"{above}{name}/")
                else:
                    image[above + name] = node.flushed if flushed_data else bytes(node.data)

        add(self._top, "")
        return image

    def _note(self, operation: Operation) -> None:
        operation.apply()
        self.operations.append(operation)

    def _find(self, path: Any) -> tuple[Folder, str] | None:
        """The folder that holds the path, and the name there; None where it is not beneath."""
        try:
            parts = _absolute(path).relative_to(self.root).parts
        except (TypeError, ValueError):
            return None
        node: Node = self._top
        for part in parts[:-1]:
            node = node.entries[part] if isinstance(node, Folder) else node
        return (node, parts[-1]) if parts and isinstance(node, Folder) else None

    def node(self, path: Any) -> Node | None:
        """What the path names."""
        found = self._find(path)
        if found is None:
            return self._top if _absolute(path) == self.root else None
        return found[0].entries.get(found[1])

    def entered(self, path: Any, node: Node, source: Any = None) -> None:
        """Note that the path names a node now, and the source none."""
        if found := self._find(path):
            left = self._find(source)
            self._note(Operation("enter", found[0], found[1], node, left=left))

    def left(self, path: Any) -> None:
        """Note that the path names nothing any more."""
        if found := self._find(path):
            self._note(Operation("leave", found[0], found[1]))

    def opened(self, descriptor: int, path: Any, *, truncates: bool = False) -> None:
        """Note that a file or folder was opened, and made if it was not there."""
        if self._find(path) is None and self.node(path) is None:
            return
        node = self.node(path)
        if node is None:
            node = File()
            self.entered(path, node)
        elif truncates and isinstance(node, File) and node.data:
            self._note(Operation("truncate", node))
        self._open[descriptor] = node

    def appends(self, descriptor: int) -> bool:
        """Whether a write goes to the end, or is none to a file beneath."""
        if descriptor not in self._open:
            return True
        return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)

    def closed(self, descriptor: int) -> None:
        """Note that a descriptor means nothing any more."""
        self._open.pop(descriptor, None)

    def wrote(self, descriptor: int, data: bytes, offset: int | None) -> None:
        """Note a write; without an offset at the end."""
        node = self._open.get(descriptor)
        if isinstance(node, File):
            at = len(node.data) if offset is None else offset
            self._note(Operation("write", node, data=data, offset=at))

    def truncated(self, descriptor: int, size: int) -> None:
        """Note that a file was cut."""
        node = self._open.get(descriptor)
        if isinstance(node, File):
            self._note(Operation("truncate", node, offset=size))

    def flushed(self, descriptor: int) -> None:
        """Note a flush."""
        if node := self._open.get(descriptor):
            self._note(Operation("flush", node))


def _clear(node: Node) -> None:
    """As it was when it was made."""
    if isinstance(node, Folder):
        node.entries, node.flushed = {}, {}
    else:
        node.data, node.flushed = bytearray(), b""


class _RecordedFile(io.FileIO):
    """A file whose writes are noted."""

    def __init__(self, path: Any, mode: str, recording: Recording) -> None:
        super().__init__(path, mode)
        self._recording = recording
        recording.opened(self.fileno(), path, truncates="w" in mode)

    def write(self, data: Any) -> int:
        """Write at the file's position."""
        offset = self.tell()
        written = super().write(data)
        self._recording.wrote(self.fileno(), bytes(memoryview(data).cast("B")[:written]), offset)
        return written

    def close(self) -> None:
        """Close it; a second time does nothing."""
        if not self.closed:
            self._recording.closed(self.fileno())
        super().close()


class _Calls:
    """The calls of `os` that change files, each done for real and noted; a flush is only noted."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._real = {name: getattr(os, name) for name in _PATCHED}
        self._real_open_file = io.open

    def open_file(self, path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        """In place of `io.open`."""
        if not set(mode) & set("wax+") or isinstance(path, int) or kwargs.get("opener"):
            return self._real_open_file(path, mode, *args, **kwargs)
        raw = _RecordedFile(path, mode.replace("b", "").replace("t", ""), self.recording)
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")

    def open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        descriptor: int = self._real["open"](path, flags, *args, **kwargs)
        if flags & os.O_TMPFILE != os.O_TMPFILE and not kwargs.get("dir_fd"):
            self.recording.opened(descriptor, path, truncates=bool(flags & os.O_TRUNC))
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        appends = self.recording.appends(descriptor)
        offset = None if appends else os.lseek(descriptor, 0, os.SEEK_CUR)
        written: int = self._real["write"](descriptor, data)
        self.recording.wrote(descriptor, bytes(memoryview(data).cast("B")[:written]), offset)
        return written

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        written: int = self._real["pwrite"](descriptor, data, offset)
        self.recording.wrote(descriptor, bytes(data[:written]), offset)
        return written

    def fsync(self, descriptor: Any) -> None:
        self.recording.flushed(descriptor if isinstance(descriptor, int) else descriptor.fileno())

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._real["ftruncate"](descriptor, size)
        self.recording.truncated(descriptor, size)

    def close(self, descriptor: int) -> None:
        self.recording.closed(descriptor)
        self._real["close"](descriptor)

    def rename(self, source: Any, target: Any, **kwargs: Any) -> None:
        node = self.recording.node(source)
        self._real["rename"](source, target, **kwargs)
        if node:  # one step of the file system: one of the names, never both and never none
            self.recording.entered(target, node, source)

    replace = rename

    def link(self, source: Any, target: Any, **kwargs: Any) -> None:
        self._real["link"](source, target, **kwargs)
        if node := self.recording.node(source):
            self.recording.entered(target, node)

    def unlink(self, path: Any, **kwargs: Any) -> None:
        self._real["unlink"](path, **kwargs)
        self.recording.left(path)

    def mkdir(self, path: Any, *args: Any, **kwargs: Any) -> None:
        self._real["mkdir"](path, *args, **kwargs)
        self.recording.entered(path, Folder())


@contextmanager
def recorded(root: Path) -> Iterator[Recording]:
    """Record what happens beneath an empty folder."""
    calls = _Calls(Recording(root))
    with ExitStack() as stack:
        for name in _PATCHED:
            stack.enter_context(patch.object(os, name, getattr(calls, name)))
        stack.enter_context(patch.object(io, "open", calls.open_file))
        yield calls.recording


_PATCHED = (
    *("open", "write", "pwrite", "fsync", "ftruncate", "close"),
    *("rename", "replace", "link", "unlink", "mkdir"),
)


def put(image: Image, folder: Path) -> None:
    """Write what a crash left into a new folder."""
    folder.mkdir()
    for path, data in image.items():
        if data is None:
            (folder / path).mkdir(mode=0o700)
        else:
            (folder / path).write_bytes(data)


def _absolute(path: Any) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # Path.resolve asks the real disk for links
