"""Commits: one record makes versions count; races, crashes and steps that are not deterministic."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from gristmill.errors import StoreError
from gristmill.store import Store
from gristmill.verify import verify
from tests.conftest import ROOT
from tests.make_store import documents, ledger, put, put_documents


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_version_is_the_rows_not_the_asking(store: Store) -> None:
    one = put_documents(store, "web", range(20), config={"v": 1})
    again = put_documents(store, "web", range(20), config={"v": 2})
    other = put_documents(store, "web", range(19), config={"v": 3})
    assert one.version == again.version != other.version
    assert len(store.builds("web")) == 3
    assert len(store.builds_of(one)) == 2
    assert put_documents(store, "elsewhere", range(20)).version == one.version


def test_a_version_is_written_once_and_cannot_be_changed(store: Store) -> None:
    dataset = put_documents(store, "web", range(5))
    before = {path: path.stat().st_mtime_ns for path in dataset.path.iterdir()}
    assert put_documents(store, "web", range(5), config={"v": 2}).path == dataset.path
    assert {path: path.stat().st_mtime_ns for path in dataset.path.iterdir()} == before
    assert all(file.stat().st_mode & 0o222 == 0 for file in dataset.files)


def test_shards_without_rows_are_left_out_but_a_schema_stays(store: Store) -> None:
    empty, some = documents([]), documents(range(3))
    several = put(store, "web", {"": ("document", [empty, some, empty])})
    assert (several.rows, len(several.files)) == (3, 1)
    none = put(store, "none", {"": ("document", [empty, empty])})
    assert (none.rows, len(none.files)) == (0, 1)
    assert none.to_table().schema == documents([]).schema
    assert none.sql("select count(*) from this").fetchall() == [(0,)]


def test_the_same_asking_with_other_rows_is_an_error(store: Store) -> None:
    first = put_documents(store, "web", range(5), config={"v": 1})
    with pytest.raises(StoreError, match="not deterministic"):
        put_documents(store, "web", range(6), config={"v": 1})
    assert store["web"] == first
    assert store.builds("web")[0]["outputs"] == {"web": first.version}


def test_of_a_sampled_step_the_first_build_wins(store: Store) -> None:
    first = put_documents(store, "web", range(5), config={"v": 1})
    second = put_documents(store, "web", range(6), config={"v": 1}, sampled=True)
    assert second == first == store["web"]


def test_outputs_come_together(store: Store) -> None:
    rows = ledger([(n, "kept", None, None, []) for n in range(3)])
    outputs = {"": ("document", [documents(range(3))]), ".ledger": ("ledger", [rows])}
    dataset = put(store, "web", outputs)
    (build,) = store.builds("web")
    assert build["outputs"] == {"web": dataset.version, "web.ledger": dataset.ledger.version}
    assert build["format"] == 1 and build["name"] == "web"
    assert store.refs("web.ledger") == {"latest": dataset.ledger.version}
    assert store.build("web", build["fingerprint"]) == build
    assert store.build("web", "0" * 64) is None


def test_rows_must_be_what_their_kind_declares(store: Store) -> None:
    table = documents(range(3))
    with pytest.raises(StoreError, match="needs column 'url'"):
        put(store, "web", {"": ("document", [table.drop_columns("url")])})
    wrong = table.set_column(2, "url", pa.array([1, 2, 3]))
    with pytest.raises(StoreError, match="'url' is int64, a document declares string"):
        put(store, "web", {"": ("document", [wrong])})
    with pytest.raises(StoreError, match="share one schema"):
        put(store, "web", {"": ("document", [table, table.drop_columns("language")])})
    with pytest.raises(StoreError, match="did you mean 'document'"):
        put(store, "web", {"": ("documents", [table])})
    assert store.names() == []


def test_a_manifest_says_what_the_data_is(store: Store) -> None:
    dataset = put_documents(store, "web", range(20))
    manifest = dataset.manifest
    assert (manifest["format"], manifest["kind"], manifest["name"]) == (1, "document", "web")
    assert manifest["totals"]["rows"] == sum(s["rows"] for s in manifest["shards"]) == 20
    assert manifest["totals"]["counts"]["language"] == {"de": 10, "en": 10}
    assert manifest["totals"]["bytes"] == sum(file.stat().st_size for file in dataset.files)
    raw = (dataset.path / ".manifest.json").read_text()
    assert "created_at" not in raw and "host" not in raw and str(store.path) not in raw


COMMIT = """
import sys, time
from pathlib import Path
from gristmill.store import Store
from tests.make_store import put_documents
store, gate = Store(sys.argv[1]), Path(sys.argv[4])
rows, version = int(sys.argv[2]), int(sys.argv[3])
while not gate.exists():
    time.sleep(0.001)
print(put_documents(store, "web", range(rows), config={"v": version}).version)
"""


def _start(store: Store, rows: int, version: int, gate: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMIT, str(store.path), str(rows), str(version), str(gate)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_two_commits_of_the_same_at_once(store: Store, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    processes = [_start(store, 40, 1, gate) for _ in range(3)]
    gate.touch()
    told = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    assert len({out for out, _ in told}) == 1
    assert len(store.builds("web")) == 1 == len(store.versions("web"))
    assert verify(store) == (1, [])
    assert not list(store.staging.glob("commit-*"))


def test_two_commits_of_different_rows_for_one_fingerprint_at_once(
    store: Store, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    processes = [_start(store, rows, 1, gate) for rows in (40, 41, 42)]
    gate.touch()
    told = [process.communicate() for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1, 1], told
    assert sum("not deterministic" in error for _, error in told) == 2
    (build,) = store.builds("web")
    assert store["web"].version == build["outputs"]["web"]


@pytest.mark.parametrize("function", ["_record", "write_ref"])
def test_killed_between_publishing_and_the_record(
    store: Store, tmp_path: Path, function: str
) -> None:
    """SIGKILL when the versions are there but the record (or the refs) are not."""
    code = f"""
import os, signal, sys
import gristmill.commit
from gristmill.store import Store
from tests.make_store import put_documents
gristmill.commit.{function} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
put_documents(Store(sys.argv[1]), "web", range(30), config={{"v": 1}})
"""
    killed = subprocess.run(
        [sys.executable, "-c", code, str(store.path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert "web" not in store and len(store.versions("web")) == 1
    _, problems = verify(store)
    assert [p.level for p in problems] == (["note"] if function == "_record" else [])
    dataset = put_documents(store, "web", range(30), config={"v": 1})  # the same command again
    assert store["web"] == dataset and dataset.version == store.versions("web")[0]
    assert verify(store) == (1, [])


def test_killed_while_writing_shards_leaves_no_version(store: Store, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    process = _start(store, 200_000, 1, gate)
    gate.touch()
    while not list(store.staging.glob("*/*/*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert store.names() == [] and store.builds("web") == []


def test_a_broken_record_is_told_by_its_file(store: Store) -> None:
    dataset = put_documents(store, "web", range(3))
    (record,) = (store.path / "web" / "builds").glob("*.json")
    record.write_text(json.dumps({"cut": 1})[:5])
    with pytest.raises(StoreError, match=r"web/builds: a build record is broken"):
        verify(store, dataset.ref)
