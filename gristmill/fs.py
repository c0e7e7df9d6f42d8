"""Files of this machine or of any fsspec URL: expand patterns, open, read a range, digest.

In: paths, globs, directories, or lists of them. Out: `InputFile`s sorted by name, opened files,
sha256. Shown by: `python -c "from gristmill import fs; print(fs.expand('docs'))"`. Limit: only
regular files are listed; hidden ones (part of a name starts with a dot) only when a pattern names
them.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.core import split_protocol, url_to_fs

from gristmill.errors import GristmillError

_MAGIC = re.compile(r"[*?\[]")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file: where it lies, what it is called under its pattern's root, and its stamps."""

    path: str  # absolute path or URL; stays out of every id
    name: str  # under the root of the pattern, with "/": the same on every machine
    size: int
    mtime: float  # seconds; nan where the file system has none
    etag: str = ""  # object stores only


def is_remote(path: str) -> bool:
    """True for a URL with a protocol other than `file://`."""
    protocol, _ = split_protocol(path)
    return protocol not in (None, "file", "local")


def expand(patterns: str | Sequence[str], suffixes: Iterable[str] | None = None) -> list[InputFile]:
    """The files that `patterns` (files, globs, directories) name, sorted by name, each once.

    suffixes: which files of a *directory* count (a glob or a file says it itself).
    Raises GristmillError when a pattern matches nothing, with what lies near it.
    """
    wanted = [patterns] if isinstance(patterns, (str, os.PathLike)) else list(patterns)
    if not wanted:
        raise GristmillError("no input: the list of files is empty; name a file, glob or directory")
    ends = tuple(suffixes) if suffixes is not None else ()
    found: dict[str, InputFile] = {}
    roots: dict[str, str] = {}
    for pattern in wanted:
        root, files = _expand_one(os.fspath(pattern), ends)
        for file in files:
            if file.path not in found:
                found[file.path] = file
                roots[file.path] = root
    files = list(found.values())
    if len({file.name for file in files}) < len(files):
        files = _named_from(_common_root(sorted(set(roots.values()))), files)
    return sorted(files, key=lambda file: (file.name, file.path))


def open_file(path: str) -> IO[bytes]:
    """Open for reading bytes; GristmillError when that cannot be."""
    try:
        if not is_remote(path):
            return open(_local(path), "rb")
        return cast("IO[bytes]", fsspec.open(path, "rb").open())
    except (OSError, ValueError, ImportError) as error:
        raise GristmillError(f"cannot read {path!r}: {_why(error)}") from error


def read_range(path: str, start: int, length: int) -> bytes:
    """Bytes [start, start + length) of a file, fewer at its end."""
    with open_file(path) as file:
        file.seek(start)
        return file.read(length)


def digest(path: str) -> str:
    """sha256 (hex) of a file's bytes."""
    sha = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()


def locate(patterns: str | Sequence[str], name: str) -> InputFile:
    """The file that `expand(patterns)` calls `name`; GristmillError when there is none."""
    files = expand(patterns)
    for file in files:
        if file.name == name:
            return file
    near = _near(name, [file.name for file in files])
    raise GristmillError(f"no file {name!r} under {patterns!r}{near}")


def _expand_one(pattern: str, suffixes: tuple[str, ...]) -> tuple[str, list[InputFile]]:
    if not pattern:
        raise GristmillError("no input: the pattern is ''; name a file, glob or directory")
    try:
        fs, path = url_to_fs(pattern if is_remote(pattern) else _local(pattern))
    except (ValueError, ImportError, OSError) as error:
        raise GristmillError(f"cannot read {pattern!r}: {_why(error)}") from error
    try:
        root, entries, everything = _entries(fs, path, suffixes)
    except (OSError, ValueError) as error:
        raise GristmillError(f"cannot list {pattern!r}: {_why(error)}") from error
    if not entries:
        raise GristmillError(f"{pattern!r} matches no file{_hint(fs, path, suffixes, everything)}")
    files = [
        InputFile(
            path=fs.unstrip_protocol(key) if is_remote(pattern) else key,
            name=_text(posixpath.relpath(key, root) if root else key),
            size=int(info.get("size") or 0),
            mtime=_mtime(info),
            etag=str(info.get("ETag") or info.get("etag") or ""),
        )
        for key, info in entries.items()
    ]
    return root, files


def _entries(
    fs: Any, path: str, suffixes: tuple[str, ...]
) -> tuple[str, dict[str, dict[str, Any]], int]:
    """Root, the regular files by key, and how many a suffix or a dot kept out."""
    if fs.isfile(path):  # also a name with [ in it that is a file
        return posixpath.dirname(path), {path: fs.info(path)}, 1
    if fs.isdir(path):
        found = fs.find(path, detail=True)
        root = path.rstrip("/")
    elif _MAGIC.search(path):
        found = fs.glob(path, detail=True)
        head = path[: cast("re.Match[str]", _MAGIC.search(path)).start()]
        root, suffixes = posixpath.dirname(head), ()
    else:
        return posixpath.dirname(path), {}, 0
    for key, info in found.items():
        if info.get("islink") and info.get("type") == "other" and not os.path.exists(key):
            if not suffixes or key.lower().endswith(suffixes):
                raise OSError(f"{key!r} is a link to a file that is not there")
    regular = {key: info for key, info in found.items() if _is_file(key, info)}
    plain = _MAGIC.search(path) is not None and "/." in path
    kept = {
        key: info
        for key, info in regular.items()
        if (plain or not any(part.startswith(".") for part in _relative(key, root).split("/")))
        and (not suffixes or key.lower().endswith(suffixes))
    }
    return root, kept, len(regular)


def _is_file(key: str, info: dict[str, Any]) -> bool:
    """A file, or a link to one: crawls are often linked into a folder, not copied."""
    if info.get("type") == "file":
        return True
    if not (info.get("islink") and os.path.isfile(key)):
        return False
    info["size"] = os.stat(key).st_size
    return True


def _relative(key: str, root: str) -> str:
    return key[len(root) :].lstrip("/") if root and key.startswith(root) else key


def _text(name: str) -> str:
    """A name of bytes that are no UTF-8, written out: `caf\\xe9.warc`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _hint(fs: Any, path: str, suffixes: tuple[str, ...], everything: int) -> str:
    """What lies near a pattern that matches nothing."""
    if everything:
        return f": its {everything} files do not end in {', '.join(suffixes) or 'a visible name'}"
    if fs.exists(path):
        return ": it is there but no regular file" if not fs.isdir(path) else ": it is empty"
    head = path[: found.start()] if (found := _MAGIC.search(path)) else path
    parent = posixpath.dirname(head)
    while parent and parent != posixpath.dirname(parent) and not fs.isdir(parent):
        parent = posixpath.dirname(parent)
    if not fs.isdir(parent):
        return "; no directory of this path exists"
    names = sorted(posixpath.basename(entry.rstrip("/")) for entry in fs.ls(parent, detail=False))
    rest = path[len(parent) :].lstrip("/").split("/")[0]
    return f"; {parent!r} exists" + _near(rest, names)


def _near(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=3, cutoff=0.4) or sorted(names)[:5]
    more = f" and {len(names) - len(close)} more" if len(names) > len(close) else ""
    return f" and holds {', '.join(map(repr, close))}{more}" if close else " and is empty"


def _named_from(root: str, files: list[InputFile]) -> list[InputFile]:
    """Two patterns may each hold an `a.jsonl`: name all files from the roots' common ancestor."""
    return [
        InputFile(f.path, _relative(split_protocol(f.path)[1], root), f.size, f.mtime, f.etag)
        for f in files
    ]


def _common_root(roots: list[str]) -> str:
    try:
        return posixpath.commonpath(roots)
    except ValueError:  # buckets of different stores
        return ""


def _local(path: str) -> str:
    return os.path.abspath(os.path.expanduser(str(split_protocol(path)[1])))


def _mtime(info: dict[str, Any]) -> float:
    value = info.get("mtime") or info.get("LastModified") or info.get("last_modified")
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def flush_to_disk(path: Path) -> None:
    """fsync one file or directory of this machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
