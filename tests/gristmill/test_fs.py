"""Files: the same names on every machine, and errors that say what is near."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import fsspec
import pytest

from gristmill import fs
from gristmill.errors import GristmillError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b/2.jsonl",
        "b/1.jsonl",
        "a/1.jsonl",
        "a/deep/3.jsonl",
        "a/.hidden",
        "a/note.txt",
    ):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


def names(*patterns: str, **options: tuple[str, ...]) -> list[str]:
    return [file.name for file in fs.expand(list(patterns), **options)]


def test_names_are_relative_to_the_pattern_s_root(tree: Path) -> None:
    assert names(f"{tree}/a") == ["1.jsonl", "deep/3.jsonl", "note.txt"]
    assert names(f"{tree}/*/1.jsonl") == ["a/1.jsonl", "b/1.jsonl"]
    assert names(f"{tree}/**/*.jsonl") == ["a/1.jsonl", "a/deep/3.jsonl", "b/1.jsonl", "b/2.jsonl"]
    assert names(f"{tree}/b/2.jsonl") == ["2.jsonl"]
    assert names(f"{tree}/a", suffixes=(".txt",)) == ["note.txt"]
    assert names(f"{tree}/a/.hid*") == [".hidden"]


def test_equal_names_are_told_apart_by_the_common_root(tree: Path) -> None:
    assert names(f"{tree}/a/*.jsonl", f"{tree}/b/*.jsonl") == [
        "a/1.jsonl",
        "b/1.jsonl",
        "b/2.jsonl",
    ]
    assert names(f"{tree}/a/1.jsonl", f"{tree}/a/*.jsonl") == ["1.jsonl"]


def test_files_carry_stamps_and_digests(tree: Path) -> None:
    (file,) = fs.expand(f"{tree}/b/2.jsonl")
    assert file.size == 9 and file.mtime == os.stat(file.path).st_mtime
    assert pickle.loads(pickle.dumps(file)) == file
    assert fs.digest(file.path) == hashlib.sha256(b"b/2.jsonl").hexdigest()
    assert fs.read_range(file.path, 2, 4) == b"2.js"
    assert fs.locate(f"{tree}/**", "a/deep/3.jsonl").path == f"{tree}/a/deep/3.jsonl"


def test_a_file_with_a_bracket_in_its_name_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x[1].txt").write_text("x")
    assert names(str(tmp_path / "x[1].txt")) == ["x[1].txt"]


def test_remote_files_work_the_same() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/box/a/1.txt", b"one")
    memory.pipe("/box/b/2.txt", b"two")
    try:
        assert names("memory://box/*/*.txt") == ["a/1.txt", "b/2.txt"]
        (file,) = fs.expand("memory://box/b")
        assert fs.is_remote(file.path) and fs.open_file(file.path).read() == b"two"
    finally:
        memory.rm("/box", recursive=True)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{}/c/*.jsonl", "'a', 'b'"),
        ("{}/a/*.parquet", "'1.jsonl'"),
        ("{}/b/3.jsonl", "'2.jsonl'"),
        ("/nowhere-at-all/x", "matches no file"),
        ("", "pattern is ''"),
        ("nosuchprotocol://x/y", "nosuchprotocol"),
    ],
)
def test_what_matches_nothing_says_what_is_near(tree: Path, pattern: str, words: str) -> None:
    with pytest.raises(GristmillError) as caught:
        fs.expand(pattern.format(tree))
    assert words in str(caught.value)


def test_not_a_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(GristmillError, match="no regular file"):
        fs.expand(str(tmp_path / "pipe.txt"))
    with pytest.raises(GristmillError, match="empty"):
        fs.expand(str(tmp_path))
    with pytest.raises(GristmillError, match="cannot read"):
        fs.open_file(str(tmp_path / "gone"))


def test_links_to_files_count_as_files(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "real.txt").write_text("12345")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked.txt").symlink_to(tmp_path / "elsewhere" / "real.txt")
    for pattern in (tmp_path / "in", tmp_path / "in" / "*.txt"):
        assert [(f.name, f.size) for f in fs.expand(str(pattern))] == [("linked.txt", 5)]
