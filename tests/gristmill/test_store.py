"""The store: names, references, tags, and version directories that any tool opens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill import Dataset, Store
from gristmill.errors import GristmillError, StoreError
from gristmill.store import check_name, write_ref
from tests.make_store import documents, ledger, put, put_documents


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.mark.parametrize("name", ["web", "web/clean", "a/b/c", "web/clean.ledger", "v1.2-x_y", "9"])
def test_names_that_may_be(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/web", "web/", "web//clean", "..", "../web", "web/../../etc", "web/.", "."),
        *(".staging", "web/.hidden", "~", "web/~root", "a b", "web\\clean", "web\0", "wéb", "-x"),
        *("refs", "web/refs", "builds", "web/builds/x", "0123456789ab", "web/0123456789ab"),
        *("web..clean", "web@x", "web\n", "C:/web", "file://web", "web/*", "web/${x}"),
    ],
)
def test_names_that_may_not_be(store: Store, name: str) -> None:
    with pytest.raises(StoreError):
        check_name(name)
    with pytest.raises(StoreError):
        store[name]
    with pytest.raises(StoreError):
        put_documents(store, name, range(2))
    assert not any(path.name == "00000.parquet" for path in store.path.parent.glob("*/*"))


@pytest.mark.parametrize("name", [None, 3, ["web"]])
def test_names_are_text(name: object) -> None:
    with pytest.raises(StoreError):
        check_name(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("tag", ["../../escape", "a/b", "", ".hidden", "0123456789ab", "a b"])
def test_tags_stay_in_their_folder(store: Store, tag: str) -> None:
    dataset = put_documents(store, "web", range(2))
    with pytest.raises(StoreError):
        store.tag("web", dataset.version, tag)
    with pytest.raises(StoreError):
        store[f"web@{tag or '../../web'}"]


def test_references_by_name_version_prefix_and_tag(store: Store) -> None:
    old = put_documents(store, "web", range(2), config={"v": 1})
    new = put_documents(store, "web", range(3), config={"v": 2})
    assert store["web"] == new and store["web@latest"] == new
    assert store[old.ref] == old and store[f"web@{old.version[:5]}"] == old
    store.tag("web", old.version, "gold")
    assert store["web@gold"] == old and store.refs("web") == {
        "gold": old.version,
        "latest": new.version,
    }
    assert "web@gold" in store and "web@silver" not in store and "nothing" not in store
    assert store.versions("web") == [old.version, new.version]
    with pytest.raises(StoreError, match="did you mean 'gold'"):
        store["web@golt"]
    with pytest.raises(StoreError, match="did you mean 'web'"):
        store["wep"]
    with pytest.raises(StoreError, match="is not there"):
        store[f"web@{old.version[:3]}"]  # three digits name nothing


def test_a_dataset_reads_its_rows_in_order(store: Store) -> None:
    dataset = put_documents(store, "web", range(25))
    assert (dataset.rows, len(dataset.files)) == (25, 3)
    texts = [f"Grain number {n}." for n in range(25)]
    assert dataset.to_table()["text"].to_pylist() == texts
    batches = list(dataset.scan(["text"], rows=4))
    assert max(batch.num_rows for batch in batches) == 4
    assert [text for batch in batches for text in batch["text"].to_pylist()] == texts
    assert "25 rows, 3 shards" in repr(dataset)
    assert Dataset(store, "web", dataset.version).schema == documents([]).schema


def test_side_outputs_are_found_from_any_output(store: Store) -> None:
    rows = ledger([(1, "kept", None, None, [])])
    outputs = {"": ("document", [documents([1])]), ".ledger": ("ledger", [rows])}
    dataset = put(store, "web/clean.v2", outputs)
    assert dataset.ledger.rows == 1
    assert dataset.ledger.output("") == dataset
    assert dataset.ledger.build() == dataset.build()
    with pytest.raises(StoreError, match=r"no output '\.legder'; did you mean"):
        dataset.output(".legder")
    assert store.names() == ["web/clean.v2", "web/clean.v2.ledger"]


def test_names_skip_what_is_not_a_dataset(store: Store) -> None:
    put_documents(store, "web/clean", range(2))
    (store.path / "notes").mkdir()
    (store.path / ".staging" / "x" / "web" / "0123456789ab").mkdir(parents=True)
    (store.path / "0123456789ab").mkdir()
    assert store.names() == ["web/clean"]
    assert Store(store.path / "nowhere").names() == []


def test_a_version_without_latest_says_what_happened(store: Store) -> None:
    dataset = put_documents(store, "web", range(2))
    (store.path / "web" / "refs" / "latest").unlink()
    with pytest.raises(StoreError, match=f"did not finish.*{dataset.version}"):
        store["web"]
    assert store[dataset.ref] == dataset


def test_a_version_without_manifest_says_so(store: Store) -> None:
    dataset = put_documents(store, "web", range(2))
    (dataset.path / ".manifest.json").unlink()
    with pytest.raises(StoreError, match="has no manifest"):
        assert store["web"].rows


@pytest.mark.parametrize(
    ("path", "said"), [("s3//bucket/x", "did you mean 's3://bucket/x'"), ("s3://b/x", "atomic")]
)
def test_paths_that_are_no_store(path: str, said: str) -> None:
    with pytest.raises(GristmillError, match=said):
        Store(path)


def test_a_ref_is_swapped_whole(tmp_path: Path) -> None:
    ref = tmp_path / "refs" / "latest"
    for version in ("a" * 12, "b" * 12):
        write_ref(ref, version)
        assert ref.read_text() == version + "\n"
    assert [path.name for path in ref.parent.iterdir()] == ["latest"]


def test_plain_duckdb_pandas_and_datasets_open_a_version(store: Store, tmp_path: Path) -> None:
    """No manifest, staging or hidden file may confuse a tool that is given the directory."""
    import duckdb
    import pandas as pd
    import pyarrow.dataset as pads

    dataset = put_documents(store, "web/clean", range(25))
    folder = str(dataset.path)
    count = duckdb.connect().execute(f"select count(*) from '{folder}/*.parquet'").fetchall()
    assert count == [(25,)]
    assert len(pd.read_parquet(folder)) == 25
    assert pads.dataset(folder).count_rows() == 25
    code = (  # its own process: datasets keeps caches and reads the environment when imported
        "import sys, datasets; d = datasets.load_dataset('parquet', data_dir=sys.argv[1], "
        "split='train', cache_dir=sys.argv[2]); print(len(d), sorted(d.column_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"25 {sorted(documents([]).schema.names)}"


def test_without_code_a_manifest_gives_duckdb_its_files(store: Store) -> None:
    import duckdb

    dataset = put_documents(store, "web", range(25))
    manifest = json.loads((dataset.path / ".manifest.json").read_text())
    files = [str(dataset.path / shard["file"]) for shard in manifest["shards"]]
    assert duckdb.connect().read_parquet(files).count("*").fetchall() == [(25,)]
