import pydoc_data.topics
from pathlib import Path
from typing import Any

import pytest
import torch

from raytune_pipe.base import ConfigError
from raytune_pipe.components.datasets_text import Text
from raytune_pipe.components.task import Split


def written(folder: Path, text: str, **settings: Any) -> Text:
    (folder / "own.txt").write_text(text, encoding="utf-8")
    return Text(path=str(folder / "own.txt"), **settings)


def read(split: Split, vocabulary: str) -> list[str]:
    return ["".join(vocabulary[token] for token in row) for row in split.inputs.tolist()]


def test_the_parts_follow_each_other_and_share_nothing(tmp_path: Path) -> None:
    text = "abcdefghij" * 10
    data = written(tmp_path, text, length=4).load()
    windows = [read(split, "abcdefghij?") for split in (data.train, data.validation, data.test)]
    assert "".join(windows[0]) == text[:56]  # of 60: the last target is one character on
    assert "".join(windows[1]) == text[60:76]
    assert "".join(windows[2]) == text[80:96]


def test_targets_are_the_next_characters(tmp_path: Path) -> None:
    data = written(tmp_path, "abcdefghij" * 10, length=4).load()
    assert data.train.inputs[0].tolist() == [0, 1, 2, 3]
    assert data.train.targets[0].tolist() == [1, 2, 3, 4]
    assert torch.equal(data.train.targets.flatten()[:-1], data.train.inputs.flatten()[1:])


def test_what_the_training_part_lacks_is_one_token(tmp_path: Path) -> None:
    data = written(tmp_path, "ab" * 30 + "aübc" * 5 + "a\U0001f600zb" * 5, length=4).load()
    assert (data.task.tokens, data.task.outputs) == (3, 3)
    assert data.validation.inputs[0].tolist() == [0, 2, 1, 2]
    assert data.test.inputs[0].tolist() == [0, 2, 2, 1]
    assert int(data.train.inputs.max()) == 1


def test_python_brings_a_text_of_its_own() -> None:
    data = Text().load()
    text = "\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))
    vocabulary = "".join(sorted(set(text[: len(text) - 2 * round(0.2 * len(text))])))
    assert data.task.tokens == len(vocabulary) + 1 > 90
    assert "".join(read(data.train, vocabulary)) == text[: data.train.inputs.numel()]


def test_a_mark_of_the_byte_order_is_no_character(tmp_path: Path) -> None:
    marked = written(tmp_path, "\ufeff" + "ab" * 50, length=4).load()
    assert marked.task.tokens == 3


REFUSED = {
    "not there": (None, r"path must be a text file, but .*own\.txt cannot be read \(No such file"),
    "not UTF-8": (b"abc\xfe" * 100, r"must be UTF-8 text, but byte 3 of .*own\.txt is 0xfe; save"),
    "empty": (b"", "must be longer than a window of 64 characters, but they have 0, 0, 0;"),
    "short": (b"ab" * 100, "they have 120, 40, 40; give a longer text, or a smaller"),
    "cut in a character": ("aä".encode() * 200 + b"\xc3", "byte 600 of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_text_is_told(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    if content is not None:
        (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Text(path=str(tmp_path / "own.txt")).load()


def test_more_than_the_memory_is_not_begun(tmp_path: Path) -> None:
    with (tmp_path / "own.txt").open("wb") as file:
        file.truncate(2**42)  # takes no room on the disk
    with pytest.raises(ConfigError, match=r"must name data that fit into memory, but .* comes to"):
        Text(path=str(tmp_path / "own.txt")).load()
