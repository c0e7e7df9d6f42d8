"""Commit: finished shards become versions, and one build record makes them count.

In: shards in staging and what was asked. Out: version directories, `builds/<fingerprint>.json`,
refs.
Shown by: any `gristmill run`. Limit: renames and exclusive links must be atomic (POSIX file
systems).

Order: version directories (each by one rename), then the build record (exclusive), then refs. A
crash between them leaves at most versions that no build names, which the next run finds again or
`gc` takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gristmill import schema
from gristmill.errors import StoreError
from gristmill.file_sets import check_files, version_of
from gristmill.fs import flush_to_disk
from gristmill.ids import digest, schema_text, short
from gristmill.redact import redacted
from gristmill.shards import totals
from gristmill.store import Store, check_name, write_ref

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StagedShard:
    """A shard file in staging and its record from ShardWriter."""

    path: Path
    record: Mapping[str, Any]


def commit(
    store: Store,
    name: str,
    fingerprint: str,
    outputs: Mapping[str, tuple[str, Sequence[StagedShard]]],
    build: Mapping[str, Any],
    sampled: bool = False,
) -> dict[str, str]:
    """Publish every output of a step together.

    Args:
        outputs: dataset name -> (kind of row, shards in order).
        build: what was asked (config, parents, packages, …); stored in the build record.
        sampled: an existing build of the fingerprint wins instead of being an error.
    Returns: dataset name -> version.
    Raises: StoreError where rows break their kind's schema, or where the same fingerprint was
        built before with other rows (the step is not deterministic).
    """
    known = _known_shards(store, build.get("parents", []))
    staging = store.staging / short(fingerprint)
    versions = {
        output: _publish(store, output, kind, shards, known, staging)
        for output, (kind, shards) in outputs.items()
    }
    record = {
        "format": FORMAT,
        "name": name,
        "fingerprint": fingerprint,
        "outputs": versions,
        **redacted(build),
    }
    stands = _record(store, name, record, staging)
    if stands["outputs"] != versions:
        if not sampled:
            changed = sorted(o for o in versions if stands["outputs"].get(o) != versions[o])
            raise StoreError(
                f"{name}: fingerprint {short(fingerprint)} was built before as "
                f"{stands['outputs'].get(changed[0])}, now it gave {versions[changed[0]]} "
                f"({changed[0]}): the step is not deterministic. Raise its VERSION if its code "
                "changed; otherwise this is a defect, please report it"
            )
        versions = dict(stands["outputs"])
    for output, version in versions.items():
        write_ref(store.path / output / "refs" / "latest", version)
    with contextlib.suppress(OSError):  # of a run it is not empty
        staging.rmdir()
    return versions


def _known_shards(store: Store, parents: Sequence[str]) -> dict[str, StagedShard]:
    """Shards of the parents by the digest of their rows: equal ones are linked, not kept twice."""
    known = {}
    for ref in parents:
        if ref not in store:  # removed since, or never of this store: then nothing is shared
            continue
        parent = store[ref]
        for path, record in zip(parent.files, parent.manifest["shards"], strict=True):
            known[record["digest"]] = StagedShard(path, record)
    return known


def _publish(
    store: Store,
    name: str,
    kind: str,
    shards: Sequence[StagedShard],
    known: Mapping[str, StagedShard],
    staging: Path,
) -> str:
    """Make the version directory of one output; nothing is rewritten where it stands already."""
    check_name(name)
    if schema.kind(kind).files:
        return _publish_files(store, name, kind, shards, known, staging)
    if not shards:
        raise StoreError(f"{name}: no task wrote a shard of it; this is a defect, please report it")
    arrow = pq.read_schema(shards[0].path)
    for shard in shards[1:]:
        other = pq.read_schema(shard.path)
        if not other.equals(arrow):
            apart = [field.name for field in {*arrow} ^ {*other}] or ["their order"]
            raise StoreError(
                f"{name}: shard {shard.path} differs from the first in columns "
                f"{', '.join(sorted(set(apart)))}; all shards of a version share one schema. If "
                f"the program changed while the run was interrupted, remove {staging} and run again"
            )
    schema.check(kind, arrow, name)
    kept = [shard for shard in shards if shard.record["rows"]] or list(shards[:1])
    version = short(
        digest({"schema": schema_text(arrow), "shards": [s.record["digest"] for s in kept]})
    )
    files = {f"{index:05d}.parquet": shard for index, shard in enumerate(kept)}
    about = {"name": name, "version": version, "kind": kind, "schema": schema_text(arrow)}
    _make(store, about, files, known, staging)
    return version


def _publish_files(
    store: Store,
    name: str,
    kind: str,
    files: Sequence[StagedShard],
    known: Mapping[str, StagedShard],
    staging: Path,
) -> str:
    """The same for an output that is a folder of files, which keep their names."""
    records = [file.record for file in files]
    check_files(name, kind, records)
    version = version_of(kind, records)
    about = {"name": name, "version": version, "kind": kind, "schema": []}
    _make(store, about, {file.record["file"]: file for file in files}, known, staging)
    return version


def _make(
    store: Store,
    about: Mapping[str, Any],
    files: Mapping[str, StagedShard],
    known: Mapping[str, StagedShard],
    staging: Path,
) -> None:
    """The version's directory, by one rename, unless it stands already."""
    target = store.path / about["name"] / about["version"]
    if (target / ".manifest.json").exists():
        return
    # Within the run's staging, so that what a killed commit leaves goes with it.
    making = staging / f".commit-{uuid.uuid4().hex[:12]}"
    making.mkdir(parents=True)
    listed = []
    for file, shard in files.items():
        shard = known.get(shard.record["digest"], shard)
        (making / file).parent.mkdir(exist_ok=True)
        _link(shard.path, making / file)
        os.chmod(making / file, 0o444)
        listed.append({**shard.record, "file": file})
    manifest = {"format": FORMAT, **about, "shards": listed, "totals": totals(listed)}
    (making / ".manifest.json").write_text(json.dumps(manifest, indent=1))
    _sync(making)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(making, target)
        flush_to_disk(target.parent)  # the version must be on disk before the record that names it
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not (target / ".manifest.json").exists():
            raise


def _record(store: Store, name: str, record: Mapping[str, Any], staging: Path) -> dict[str, Any]:
    """Create the build record exclusively; return the one that stands."""
    folder = store.path / check_name(name) / "builds"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{short(record['fingerprint'])}.json"
    staging.mkdir(parents=True, exist_ok=True)
    temporary = staging / f".build-{uuid.uuid4().hex}.json"
    try:
        temporary.write_text(json.dumps(record, indent=1))
        flush_to_disk(temporary)
        os.link(temporary, target)  # unlike rename, fails where a commit stands
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
    flush_to_disk(folder)
    stands: dict[str, Any] = json.loads(target.read_text())
    return stands


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _sync(folder: Path) -> None:
    """Flush a directory's files to disk before the rename that makes them count."""
    for file in folder.rglob("*"):
        flush_to_disk(file)
    flush_to_disk(folder)
