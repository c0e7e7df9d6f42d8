"""Verify finds what was altered; gc takes only what nothing needs."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.errors import StoreError
from gristmill.garbage import gc
from gristmill.live import sign_in, write_note
from gristmill.progress import Progress, human
from gristmill.store import Dataset, Store
from gristmill.verify import verify
from tests.make_store import documents, ledger, put, put_documents


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _said(store: Store, ref: str | None = None) -> list[str]:
    return [f"{p.where}: {p.what}" for p in verify(store, ref)[1] if p.level == "error"]


def test_a_sound_store_verifies(store: Store) -> None:
    put_documents(store, "web", range(30))
    rows = ledger(
        [(1, "dropped", "rules", "short", [("short", 1.0, 2.0)]), (2, "kept", *[None] * 2, [])]
    )
    put(store, "b/c", {"": ("document", [documents([2])]), ".ledger": ("ledger", [rows])})
    assert verify(store) == (3, [])
    assert verify(store, "web") == (1, [])
    with pytest.raises(StoreError, match="did you mean 'web'"):
        verify(store, "wep")


def test_every_flipped_byte_is_found(store: Store) -> None:
    dataset = put_documents(store, "web", range(30))
    file = dataset.files[1]
    os.chmod(file, 0o644)
    good = file.read_bytes()
    for place in range(4, len(good), len(good) // 23):
        bad = bytearray(good)
        bad[place] ^= 0x10
        file.write_bytes(bad)
        said = _said(store)
        assert said and all("00001.parquet" in line for line in said)
    file.write_bytes(good)
    assert _said(store) == []


def test_rows_are_hashed_not_only_bytes(store: Store) -> None:
    """A manifest whose sha256 was mended to match altered rows does not pass."""
    dataset = put_documents(store, "web", range(10))
    file = dataset.files[0]
    os.chmod(file, 0o644)
    table = pq.read_table(file)
    pq.write_table(table.set_column(1, "text", pa.array(["x"] * 10)), file)
    from gristmill.shards import file_sha256

    shard = dict(dataset.manifest["shards"][0])
    manifest = (dataset.path / ".manifest.json").read_text()
    manifest = manifest.replace(shard["sha256"], file_sha256(file))
    manifest = manifest.replace(f'"bytes": {shard["bytes"]}', f'"bytes": {file.stat().st_size}')
    (dataset.path / ".manifest.json").write_text(manifest)
    assert any("its rows are not those that were written" in line for line in _said(store))


def test_missing_extra_and_renamed_things_are_found(store: Store) -> None:
    one = put_documents(store, "one", range(30))
    two = put_documents(store, "two", range(20))
    three = put_documents(store, "three", range(5), parents=[two.ref, "gone@0123456789ab"])
    one.files[2].unlink()
    (one.path / "README.md").write_text("hello")
    os.rename(two.path, two.path.parent / "0123456789ab")
    (three.path / ".manifest.json").write_text("{")
    said = "\n".join(_said(store))
    assert f"{one.ref}: README.md is not in the manifest" in said
    assert f"{one.ref}: 00002.parquet is missing" in said
    assert f"two@0123456789ab: its manifest is that of {two.ref}" in said
    assert "two@0123456789ab: its version is not the hash of its schema and shard digests" in said
    assert f"two@latest: points to {two.version}, which is not there" in said
    assert f"made {two.ref}, which is not there" in said
    assert "was made from gone@0123456789ab, which is not there" in said
    assert f"{three.ref}: its manifest cannot be read" in said


def test_totals_must_add_up(store: Store) -> None:
    dataset = put_documents(store, "web", range(10))
    path = dataset.path / ".manifest.json"
    head, totals, tail = path.read_text().rpartition('"totals"')
    path.write_text(head + totals + tail.replace('"rows": 10', '"rows": 11'))
    assert _said(store) == [f"{dataset.ref}: its totals are not the sums of its shards"]


def test_verify_shows_progress(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = put_documents(store, "web", range(10))
    monkeypatch.setattr("gristmill.progress.WORTH_A_LINE", 0.0)
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        verify(store, progress=progress)
    size = human(dataset.manifest["totals"]["bytes"], "B")
    assert stream.getvalue().startswith("verify: done in ") and size in stream.getvalue()


def _age(path: Path, days: float) -> None:
    old = time.time() - days * 86400
    for found in [path, *path.rglob("*")]:
        os.utime(found, (old, old))


def _paths(found: list[object]) -> set[str]:
    return {item.path for item in found}  # type: ignore[attr-defined]


def test_gc_keeps_what_builds_refs_and_children_need(store: Store) -> None:
    old = put_documents(store, "web", range(10), config={"v": 1})
    put_documents(store, "child", range(5), parents=[old.ref])
    put_documents(store, "web", range(11), config={"v": 2})
    _age(store.path, 30)
    assert [item for item in gc(store) if item.kind != "staging"] == []
    assert [item for item in gc(store, superseded=True) if item.kind != "staging"] == []


def test_gc_takes_orphans_and_old_staging_after_showing_them(store: Store) -> None:
    kept = put_documents(store, "web", range(10), config={"v": 1})
    orphan = put_documents(store, "web", range(12), config={"v": 2})
    for record in store.builds("web"):
        if record["outputs"]["web"] == orphan.version:
            (store.path / "web" / "builds" / f"{record['fingerprint'][:12]}.json").unlink()
    write = store.path / "web" / "refs" / "latest"
    write.write_text(kept.version)
    assert gc(store) == []  # all is younger than a week: a run may be at work
    _age(store.path, 8)
    (store.staging / "young").mkdir()
    (store.staging / "young" / "run.json").write_text("{}")
    found = gc(store)
    assert f"web/{orphan.version}" in _paths(found) and ".staging/young" not in _paths(found)
    assert orphan.path.exists(), "shown, not removed"
    removed = gc(store, apply=True)
    assert removed == found
    assert not orphan.path.exists() and kept.path.exists()
    assert {path.name for path in store.staging.iterdir()} == {"young"}
    assert verify(store) == (1, [])


def test_superseded_versions_go_with_their_builds_unless_tagged(store: Store) -> None:
    def clean(version: int) -> Dataset:
        rows = ledger([(n, "kept", None, None, []) for n in range(version)])
        tables = {"": ("document", [documents(range(version))]), ".ledger": ("ledger", [rows])}
        return put(store, "web/clean", tables, config={"v": version})

    first, second, third = clean(1), clean(2), clean(3)
    store.tag("web/clean", first.version, "paper")
    child = put_documents(store, "web/unique", range(2), parents=[second.ref], config={"v": 2})
    put_documents(store, "web/unique", range(3), parents=[third.ref], config={"v": 3})
    assert [g for g in gc(store, superseded=True) if g.kind != "staging"] == []  # young
    _age(store.path, 30)
    found = gc(store, superseded=True)
    kinds = sorted(g.kind for g in found if g.kind != "staging")
    assert kinds == ["build", "build", "version", "version", "version"]
    assert {g.path for g in found if g.kind == "version"} == {
        f"web/unique/{child.version}",
        f"web/clean/{second.version}",
        f"web/clean.ledger/{second.ledger.version}",
    }
    gc(store, apply=True, superseded=True)
    assert store["web/clean@paper"].ledger.rows == 1
    assert verify(store) == (5, [])


def test_what_a_live_run_reads_stays_and_its_staging_too(store: Store) -> None:
    first = put_documents(store, "web", range(10), config={"v": 1})
    made_from = put_documents(store, "text", range(10), parents=[first.ref])
    put_documents(store, "web", range(11), config={"v": 2})
    put_documents(store, "text", range(12), config={"v": 2})
    staging = store.staging / "0123456789ab"
    staging.mkdir()
    sign_in(staging)
    write_note(staging, {"name": "final", "parents": [made_from.ref], "pid": 1 << 30})
    _age(store.path, 30)
    found = gc(store, superseded=True)
    assert {"build", "version"}.isdisjoint(item.kind for item in found)
    assert ".staging/0123456789ab" not in _paths(found)
    for file in staging.glob(".alive-*"):
        file.unlink()
    _age(store.path, 3)  # interrupted, but not long ago
    assert gc(store, superseded=True, days=7) == []
    _age(store.path, 30)
    assert {f"web/{first.version}", f"text/{made_from.version}", ".staging/0123456789ab"} <= _paths(
        gc(store, superseded=True)
    )


def test_gc_counts_only_bytes_that_become_free(store: Store) -> None:
    dataset = put_documents(store, "web", range(10))
    _age(store.path, 30)
    linked = store.staging / "old"
    linked.mkdir()
    os.link(dataset.files[0], linked / "shared.parquet")
    (linked / "own").write_bytes(b"x" * 1000)
    _age(linked, 30)
    sizes = {g.path: g.bytes for g in gc(store)}
    assert sizes[".staging/old"] == 1000
