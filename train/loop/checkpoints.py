"""Checkpoints to go on from: written, verified, then published; only published ones count.

In: folders that Trainer wrote. Out: `checkpoint-N/whole.json` with the digest of each file, or its
absence. Shown by: `ls STORE/.staging/*/work/checkpoints`.
Limit: digests tell a damaged file, not a wrong one.

A folder without its marker was being written when the run ended: it is removed. One whose files do
not match their digests is left out, and the run goes on from the one before.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from gristmill.errors import GristmillError, RecipeError
from gristmill.fs import flush_to_disk
from gristmill.shards import file_sha256

MARKER = "whole.json"
PARTS = "pytorch_model_fsdp_0"  # a folder that only ranks that share the weights write
KEPT = 2


def publish(folder: Path, state: dict[str, Any]) -> None:
    """Verify a checkpoint's files, bring them to disk, then put its marker there.

    `state`: what the loop itself must know to go on; `read` gives it back.
    """
    digests = {}
    for file in _files(folder):
        _check_form(folder / file)
        digests[file] = file_sha256(folder / file)
        flush_to_disk(folder / file)
    flush_to_disk(folder)
    fresh = folder / f"{MARKER}.new"
    fresh.write_text(json.dumps({"files": digests, "state": state}))
    flush_to_disk(fresh)
    os.replace(fresh, folder / MARKER)
    flush_to_disk(folder)
    flush_to_disk(folder.parent)


def check_form(folder: Path | None, shared: bool) -> None:
    """RecipeError for a checkpoint of ranks that share the weights where these do not, or vice
    versa: neither reads the other's."""
    if folder is None or (parts := (folder / PARTS).is_dir()) == shared:
        return
    if parts:
        told = "ranks that shared the weights, and this run has them whole on each rank", "true"
    else:
        told = "ranks with whole weights, and those of this run share them", "false"
    raise RecipeError(
        f"{folder.name} was written by {told[0]}; to go on, write `run: {{shard: {told[1]}}}` "
        f"{'and 2 ranks or more ' if parts else ''}as before; to begin anew, remove {folder.parent}"
    )


def sweep(home: Path) -> list[str]:
    """Remove what is not whole; what was removed though it had a marker, for people."""
    damaged = []
    for folder in home.glob("checkpoint-*"):
        if not (folder / MARKER).is_file():
            shutil.rmtree(folder)
        elif wrong := _damage(folder):
            damaged.append(f"{folder.name} was left out: {wrong}")
            shutil.rmtree(folder)
    return damaged


def newest(home: Path) -> Path | None:
    """The published checkpoint of the highest step."""
    found = sorted(home.glob(f"checkpoint-*/{MARKER}"), key=lambda path: step_of(path.parent))
    return found[-1].parent if found else None


def read(folder: Path) -> dict[str, Any]:
    """The loop's own state in a checkpoint."""
    state: dict[str, Any] = json.loads((folder / MARKER).read_text())["state"]
    return state


def prune(home: Path) -> None:
    """Keep the newest ones: a second, should the last be damaged."""
    published = sorted((path.parent for path in home.glob(f"*/{MARKER}")), key=step_of)
    for folder in published[:-KEPT]:
        (folder / MARKER).unlink()  # first: half a folder must not look whole
        shutil.rmtree(folder)


def step_of(folder: Path) -> int:
    """Steps done at a checkpoint."""
    return int(folder.name.rpartition("-")[2])


def _files(folder: Path) -> list[str]:
    found = (file for file in folder.rglob("*") if file.is_file())
    names = (file.relative_to(folder).as_posix() for file in found)
    return sorted(name for name in names if not name.startswith(MARKER))


def _check_form(file: Path) -> None:
    """A file can be opened again as what it is."""
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                sound = bool(opened.keys())
        elif file.suffix in (".pt", ".pth"):
            sound = zipfile.is_zipfile(file)
        elif file.suffix == ".json":
            json.loads(file.read_text())
            sound = True
        else:
            sound = True
    except (SafetensorError, ValueError) as error:
        raise GristmillError(f"checkpoint file {file} cannot be read back: {error}") from error
    if not sound:
        raise GristmillError(f"checkpoint file {file} cannot be read back: it is not whole")


def _damage(folder: Path) -> str:
    """Which file does not match its digest; empty where all do."""
    try:
        digests = json.loads((folder / MARKER).read_text())["files"]
    except ValueError:
        return f"{MARKER} cannot be read"
    for name, expected in digests.items():
        if not (folder / name).is_file() or file_sha256(folder / name) != expected:
            return f"{name} does not match its digest"
    return ""
