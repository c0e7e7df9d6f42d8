"""File sets: a version that is a folder of files, as models are: weights, config, tokenizer.

In: a folder that a task filled. Out: one record a file, as ShardWriter gives one a shard; a name
for the version. Shown by: `ls STORE/models/base/VERSION`.
Limit: files count by their bytes, so a writer of them must be deterministic (safetensors is).

Files in the subfolder BESIDE go with the version and do not make it: a picture of the curves, the
optimiser's state. Two runs that give the same weights are the same version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gristmill.errors import StoreError
from gristmill.ids import digest, short
from gristmill.shards import file_sha256

BESIDE = "training"


class FileSet:
    """A folder to put files in; `close` records them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def close(self) -> list[dict[str, Any]]:
        """A record of each file, by name."""
        return [record(self.folder, file) for file in files_of(self.folder)]


def files_of(folder: Path) -> list[str]:
    """Names below a folder with `/` between parts, sorted; the manifest left out."""
    found = (file for file in folder.rglob("*") if file.is_file())
    names = (file.relative_to(folder).as_posix() for file in found)
    return sorted(name for name in names if name != ".manifest.json")


def record(folder: Path, name: str) -> dict[str, Any]:
    """What a manifest keeps of a file."""
    sha256 = file_sha256(folder / name)
    return {
        "file": name,
        "rows": 0,
        "bytes": (folder / name).stat().st_size,
        "digest": f"sha256:{sha256}",
        "sha256": sha256,
        "text_bytes": 0,
        "counts": {},
    }


def version_of(kind: str, records: Iterable[Mapping[str, Any]]) -> str:
    """12 hex digits of what the files hold, those beside left out."""
    counted = sorted(
        [one["file"], one["digest"]] for one in records if not one["file"].startswith(f"{BESIDE}/")
    )
    return short(digest({"kind": kind, "files": counted}))


def check_files(name: str, kind: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Raise StoreError for what a model must not hold: no weights that run code when loaded."""
    for one in records:
        file = one["file"]
        if file.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")):
            raise StoreError(f"{name}: {file} is a pickle, which runs code; save safetensors")
    if kind == "model" and not any(one["file"] == "config.json" for one in records):
        raise StoreError(
            f"{name}: a model needs config.json; it has {[r['file'] for r in records]}"
        )
