"""Digests of input files, remembered by path, size and modification time.

In: input files and a cache. Out: sha256 of each file's content (its ETag on object stores).
Shown by: the second `gristmill plan` of a recipe, which reads no file. Limit: a file that was
rewritten with equal size and equal modification time is taken for the old one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gristmill.fs import InputFile, digest, is_remote


def content_digests(files: Sequence[InputFile], cache: Path | None = None) -> list[str]:
    """One digest a file, in order. New ones are appended to `cache` (JSON lines) if it can be."""
    known = _load(cache)
    todo = [file for file in files if _key(file) not in known and not _etag(file)]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # sha256 lets go of the GIL
        fresh = dict(zip(map(_key, todo), pool.map(lambda f: digest(f.path), todo), strict=True))
    _append(cache, fresh)
    return [_etag(file) or known.get(_key(file)) or fresh[_key(file)] for file in files]


def _etag(file: InputFile) -> str:
    return f"etag:{file.etag}" if file.etag and is_remote(file.path) else ""


def _key(file: InputFile) -> str:
    return json.dumps([file.path, file.size, file.mtime])


def _load(cache: Path | None) -> dict[str, str]:
    if cache is None or not cache.exists():
        return {}
    known = {}
    for line in cache.read_text(encoding="utf-8").splitlines():
        try:
            key, found = json.loads(line)
        except ValueError:
            continue  # a line that a full disk cut short
        known[key] = found
    return known


def _append(cache: Path | None, fresh: dict[str, str]) -> None:
    if cache is None or not fresh:
        return
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with open(
            cache, "a", encoding="utf-8"
        ) as file:  # one short write a line: appends are whole
            for key, found in fresh.items():
                file.write(json.dumps([key, found]) + "\n")
    except OSError:
        return  # `plan` on a store that only others may write
