"""Garbage: what runs left behind and no ref, build or child needs; shown first, then removed.

In: a store. Out: what can go, with the bytes that it frees. Shown by: `gristmill gc`.
Limit: what is younger than `days` may belong to a run under way and stays; a run that lives on
another machine and has changed nothing for longer is taken for dead.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.ids import short
from gristmill.live import live_processes, read_note
from gristmill.store import Store
from gristmill.verify import readable_builds

DAYS = 7.0


@dataclass(frozen=True, slots=True)
class Garbage:
    """One thing that nothing needs."""

    path: str  # relative to the store
    kind: str  # version, build, staging
    bytes: int  # freed: shards that others hard-link count nothing
    why: str


def gc(
    store: Store, apply: bool = False, superseded: bool = False, days: float = DAYS
) -> list[Garbage]:
    """What nothing needs: staging and versions that runs left behind, and nobody took up.

    A version is needed by a ref, by the build that made it, by every build that has it as a parent,
    and by every run that reads it and is alive, or was interrupted less than `days` ago.
    `superseded`: builds older than `days` count only where a ref leads to one of their outputs,
    directly or through children; the others go, with what they made. Nothing is removed without
    `apply`.
    """
    before = time.time() - days * 86400
    builds = [
        (store.path / name / "builds" / f"{short(record['fingerprint'])}.json", record)
        for name in _homes(store)
        for record in readable_builds(store, name)
    ]
    asked = [(p, r) for p, r in builds if superseded and p.stat().st_mtime < before]
    kept = [record for path, record in builds if (path, record) not in asked]
    left = sorted(store.staging.iterdir()) if store.staging.is_dir() else []
    dead = [path for path in left if _newest(path) < before and not live_processes(path)]
    read = [ref for path in left if path not in dead for ref in read_note(path).get("parents", [])]
    needed = _needed(store, kept, [record for _, record in asked], read)
    doomed: list[tuple[Path, str, str]] = [
        (path, "build", "no ref needs what it made")
        for path, record in asked
        if not set(record["outputs"].items()) & needed
    ]
    for name in store.names():
        for version in store.versions(name):
            path = store.path / name / version
            if (name, version) not in needed and _newest(path) < before:
                doomed.append((path, "version", "no ref, build or child needs it"))
    why = f"an interrupted run, untouched for {days:g} days"
    doomed += [(path, "staging", why) for path in dead]
    freed = _freed([path for path, _, _ in doomed])
    found = [
        Garbage(path.relative_to(store.path).as_posix(), kind, size, reason)
        for (path, kind, reason), size in zip(doomed, freed, strict=True)
    ]
    if apply:
        for path, _, _ in doomed:
            _remove(store, path)
    return found


def _homes(store: Store) -> list[str]:
    """Datasets with build records, those whose versions are gone too."""
    found = []
    for folder, children, _ in os.walk(store.path):
        if "builds" in children:
            found.append(Path(folder).relative_to(store.path).as_posix())
        children[:] = [child for child in children if not child.startswith(".")]
    return sorted(found)


def _needed(
    store: Store,
    kept: Sequence[dict[str, Any]],
    asked: Sequence[dict[str, Any]],
    read: Sequence[str],
) -> set[tuple[str, str]]:
    """Versions that refs, runs, the builds `kept`, or builds that lead to them need.

    Each as (name, version). `read`: references that runs under way read.
    """
    needed = {(name, v) for name in store.names() for v in store.refs(name).values()}
    needed |= _pairs(read)
    for record in kept:
        needed |= _touched(record)
    waiting, before = list(asked), -1
    while len(waiting) != before:
        before, rest = len(waiting), []
        for record in waiting:
            if set(record["outputs"].items()) & needed:
                needed |= _touched(record)
            else:
                rest.append(record)
        waiting = rest
    return needed


def _touched(record: dict[str, Any]) -> set[tuple[str, str]]:
    """What a build made and what it was made from."""
    return {*record["outputs"].items(), *_pairs(record.get("parents", []))}


def _pairs(refs: Sequence[str]) -> set[tuple[str, str]]:
    """`name@version` as (name, version)."""
    return {(name, version) for name, _, version in (ref.partition("@") for ref in refs)}


def _newest(path: Path) -> float:
    """The latest change below a path."""
    latest = path.stat().st_mtime
    for folder, _, files in os.walk(path):
        for name in [".", *files]:
            try:
                latest = max(latest, os.stat(os.path.join(folder, name)).st_mtime)
            except FileNotFoundError:
                return time.time()  # someone is at work here
    return latest


def _freed(paths: Sequence[Path]) -> list[int]:
    """Bytes that go with each path; a file with links elsewhere frees nothing."""
    files = [[f for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file()] for p in paths]
    doomed = Counter((f.stat().st_dev, f.stat().st_ino) for found in files for f in found)
    seen: set[tuple[int, int]] = set()
    sizes = []
    for found in files:
        size = 0
        for file in found:
            state = file.stat()
            key = (state.st_dev, state.st_ino)
            if doomed[key] >= state.st_nlink and key not in seen:
                seen.add(key)
                size += state.st_size
        sizes.append(size)
    return sizes


def _remove(store: Store, path: Path) -> None:
    """Out of sight by one rename, then deleted: a reader never meets half a version."""
    store.staging.mkdir(exist_ok=True)
    trash = store.staging / f"trash-{uuid.uuid4().hex[:12]}"
    os.rename(path, trash)
    if trash.is_dir():
        shutil.rmtree(trash)
    else:
        trash.unlink()
