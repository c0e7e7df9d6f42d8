"""Verify: the store is what its manifests, build records and refs say, or here is what is not.

In: a store. Out: problems. Shown by: `gristmill verify`.
Limit: a version whose manifest was rewritten to match altered shards has another version: that is
found; a store copied together with every id is as good as the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import StoreError
from gristmill.file_sets import files_of, version_of
from gristmill.ids import RowDigest, digest, schema_text, short
from gristmill.progress import Progress
from gristmill.shards import file_sha256, totals
from gristmill.store import Dataset, Store


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be."""

    level: str  # "error": data is wrong or missing; "note": harmless, `gc` takes it
    where: str
    what: str


def verify(
    store: Store, ref: str | None = None, progress: Progress | None = None
) -> tuple[int, list[Problem]]:
    """Re-hash every shard's bytes and rows; follow every ref, build record and parent.

    Returns: number of versions checked, problems. `ref`: one dataset (all its versions), or one
    version of it.
    """
    datasets = _chosen(store, ref)
    size = sum((d.path / file).stat().st_size for d in datasets for file in files_of(d.path))
    problems: list[Problem] = []
    bar = (progress or Progress(quiet=True)).phase("verify", size, "B")
    for dataset in datasets:
        problems += _verify_version(dataset, bar.advance)
    bar.finish()
    for name in dict.fromkeys(dataset.name for dataset in datasets):
        problems += _verify_links(store, name)
    return len(datasets), problems


def _chosen(store: Store, ref: str | None) -> list[Dataset]:
    if ref is not None and "@" in ref:
        return [store[ref]]
    names = store.names() if ref is None else [ref]
    found = [Dataset(store, name, version) for name in names for version in store.versions(name)]
    if ref is not None and not found:
        store[ref]  # raises, with the nearest name
    return found


def _verify_version(dataset: Dataset, advance: Callable[[int], None]) -> Iterator[Problem]:
    def error(what: str) -> Problem:
        return Problem("error", dataset.ref, what)

    try:
        manifest = dataset.manifest
        listed = {shard["file"]: shard for shard in manifest["shards"]}
        said = (manifest["name"], manifest["version"])
        folder = dataset.is_folder
    except (StoreError, ValueError, KeyError, TypeError) as found:
        yield error(f"its manifest cannot be read: {found}")
        return
    if said != (dataset.name, dataset.version):
        yield error(f"its manifest is that of {said[0]}@{said[1]}")
    present = set(files_of(dataset.path))
    for name in sorted(present - set(listed)):
        yield error(f"{name} is not in the manifest")
    for name, shard in listed.items():
        if name not in present:
            yield error(f"{name} is missing")
            continue
        for what in _verify_bytes(dataset.path / name, shard):
            yield error(f"{name}: {what}")
        for what in () if folder else _verify_rows(dataset.path / name, shard, manifest["schema"]):
            yield error(f"{name}: {what}")
        advance((dataset.path / name).stat().st_size)
    named = {"schema": manifest["schema"], "shards": [s["digest"] for s in listed.values()]}
    version = version_of(manifest["kind"], listed.values()) if folder else short(digest(named))
    if version != dataset.version:
        yield error("its version is not the hash of its schema and shard digests")
    if manifest["totals"] != totals(listed.values()):
        yield error("its totals are not the sums of its shards")


def _verify_bytes(path: Path, shard: dict[str, Any]) -> Iterator[str]:
    if path.stat().st_size != shard["bytes"] or file_sha256(path) != shard["sha256"]:
        yield "its bytes are not those that were written (size or sha256 differ)"


def _verify_rows(path: Path, shard: dict[str, Any], schema: list[list[str]]) -> Iterator[str]:
    try:
        with pq.ParquetFile(path) as parquet:
            if schema_text(parquet.schema_arrow) != schema:
                yield f"its columns are {schema_text(parquet.schema_arrow)}"
            rows = RowDigest(parquet.schema_arrow)
            for batch in parquet.iter_batches(8192):
                rows.update(batch)
    except (OSError, pa.ArrowException) as found:
        yield f"it cannot be read: {found}"
        return
    if rows.hexdigest() != shard["digest"]:
        yield "its rows are not those that were written (their digest differs)"


def _verify_links(store: Store, name: str) -> Iterator[Problem]:
    """Refs, build records and parents of one dataset lead somewhere."""
    versions = set(store.versions(name))
    for tag, version in store.refs(name).items():
        if version not in versions:
            yield Problem("error", f"{name}@{tag}", f"points to {version}, which is not there")
    for record in readable_builds(store, name):
        where = f"{name}/builds/{short(record['fingerprint'])}"
        for output, version in record["outputs"].items():
            if not (store.path / output / version / ".manifest.json").exists():
                yield Problem("error", where, f"made {output}@{version}, which is not there")
        for parent in record.get("parents", []):
            output, _, version = parent.partition("@")
            if not (store.path / output / version / ".manifest.json").exists():
                yield Problem("error", where, f"was made from {parent}, which is not there")
    made = store.makers(name)
    for version in sorted(versions):
        if version not in made:
            what = "no build made it: left by an interrupted run, or copied in by hand"
            yield Problem("note", f"{name}@{version}", what)


def readable_builds(store: Store, name: str) -> list[dict[str, Any]]:
    try:
        return store.builds(name)
    except (ValueError, KeyError) as error:
        raise StoreError(
            f"{store.path / name / 'builds'}: a build record is broken: {error}"
        ) from None
