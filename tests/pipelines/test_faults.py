"""Bad input through the shipped recipe, real workers: counted or a clear error, nothing lost."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from bench.memory import Watch
from gristmill.errors import GristmillError
from gristmill.store import Store
from tests.curation.readers.warc_files import http, member, record
from tests.pipelines import broken_files
from tests.pipelines.broken_warcs import faults, sound
from tests.run_step import RECIPES, account, fineweb, run_recipe

MEMORY_MB = 1500  # of a worker
Reasons = dict[str, list[str | None]]


def reasons_of(store: Store, name: str) -> Reasons:
    """Reasons of each file's records, in order."""
    found: Reasons = defaultdict(list)
    for row in store[name + ".ledger"].to_table(["file", "reason"]).to_pylist():
        found[row["file"]].append(row["reason"])
    return dict(found)


def unlike(found: Reasons, expected: Reasons) -> Reasons:
    """Files whose records did not end as expected; `?` stands for any reason."""
    return {
        name: found.get(name, [])
        for name, wanted in expected.items()
        if len(wanted) != len(found.get(name, []))
        or any(w not in ("?", f) for w, f in zip(wanted, found.get(name, []), strict=True))
    }


def recipe_of(folder: Path, sources: dict[str, dict[str, Any]], **options: Any) -> Path:
    """The shipped ops over several sources, as a recipe file."""
    shipped = fineweb()
    clean = shipped["steps"]["web/clean"] | options
    steps = [clean | {"name": name, "from": source} for name, source in sources.items()]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"vars": shipped["vars"], "steps": steps}))
    return path


@pytest.mark.slow
def test_each_fault_of_a_crawl_costs_its_own_record_at_most(tmp_path: Path) -> None:
    crawl, expected = tmp_path / "crawl", {}
    crawl.mkdir()
    for fault in faults():
        (crawl / f"{fault.name}.warc.gz").write_bytes(fault.content)
        expected[f"{fault.name}.warc.gz"] = [*fault.reasons]
    for name, content, reasons in (
        ("empty.warc.gz", b"", []),
        ("hello.warc.gz", b"hello", ["read.corrupt"]),
        ("hello.warc", b"hello\n\n" * 9, ["read.not_warc"]),
        ("cut.warc.gz", sound(1) + sound(2)[:-300], [None, "read.truncated"]),
    ):
        (crawl / name).write_bytes(content)
        expected[name] = reasons
    with Watch(os.getpid()) as memory:
        run_recipe(RECIPES / "fineweb.yaml", tmp_path, {"crawl": str(crawl / "*.warc*")})
    store = Store(tmp_path)
    assert unlike(reasons_of(store, "web/clean"), expected) == {}
    account(store, "web/clean", sum(map(len, expected.values())))
    account(store, "web/unique", store["web/clean"].rows)
    account(store, "web/final", store["web/unique"].rows)
    assert store["web/final"].rows > 150
    print(f"\n{len(expected)} files, a worker's memory {max(memory.peaks.values()):.0f} MB")
    assert max(memory.peaks.values()) < MEMORY_MB


@pytest.mark.slow
def test_faults_of_other_formats(tmp_path: Path) -> None:
    writers: dict[str, tuple[Callable[[Path], Reasons], dict[str, str]]] = {
        "jsonl": (broken_files.write_jsonl, {}),
        "text": (broken_files.write_texts, {}),
        "html": (broken_files.write_pages, {"base_url": "http://site.example/"}),
        "parquet": (broken_files.write_tables, {}),
    }
    sources, expected = {}, {}
    for kind, (write, options) in writers.items():
        (tmp_path / kind).mkdir()
        expected[kind] = write(tmp_path / kind)
        sources[f"from/{kind}"] = {kind: str(tmp_path / kind), **options}
    store = Store(tmp_path / "store")
    run_recipe(recipe_of(tmp_path, sources), store.path, {})
    for kind in writers:
        found = reasons_of(store, f"from/{kind}")
        assert unlike(found, expected[kind]) == {}
        account(store, f"from/{kind}", sum(map(len, found.values())))


@pytest.mark.slow
def test_a_line_of_100_megabytes(tmp_path: Path) -> None:
    huge, short = broken_files.long_line(), broken_files.text(1).replace("\n", " ")
    (tmp_path / "a.txt").write_text(f"{short}\n{huge}\n{short}\n")
    (tmp_path / "a.jsonl").write_text(f'{{"text": "{short}"}}\n{{"text": "{huge}"}}\n')
    sources: dict[str, dict[str, Any]] = {
        "text": {"text": str(tmp_path / "a.txt"), "unit": "line"},
        "jsonl": {"jsonl": str(tmp_path / "a.jsonl")},
    }
    words = {}
    for limit, ends in ((16 << 20, "read.too_large"), (200 << 20, "gopher_repetition")):
        store = Store(tmp_path / f"store-{limit}")
        with Watch(os.getpid()) as memory:
            run_recipe(recipe_of(tmp_path, sources, max_doc_bytes=limit), store.path, {}, workers=1)
        for name in sources:
            reasons = reasons_of(store, name)[f"a.{'txt' if name == 'text' else name}"]
            assert reasons[0] is None and str(reasons[1]).startswith(ends)
            ledger = store[name + ".ledger"].to_table(["words"])
            words[limit, name] = ledger["words"].to_pylist()[1]
        print(f"\nlimit {limit >> 20} MiB: a worker's memory {max(memory.peaks.values()):.0f} MB")
        if ends == "read.too_large":  # 50 million one-letter words take 2.6 GB where allowed
            assert max(memory.peaks.values()) < MEMORY_MB
    assert words[16 << 20, "text"] is None
    assert words[200 << 20, "text"] == words[200 << 20, "jsonl"] > 10_000_000


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"body": ["a"]}, "no column 'text' (it has body)"),
        ({"text": [1]}, "int64, not a string"),
        ({"text": [["a"]]}, "not a string"),
        ({}, "no column 'text'"),
    ],
)
def test_a_parquet_file_of_another_schema_is_a_clear_error_before_anything_runs(
    tmp_path: Path, table: dict[str, Any], says: str
) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    refused(tmp_path, {"parquet": str(tmp_path)}, says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no readable Parquet file"),
        (b"hello", "is no readable Parquet file"),
        (b"PAR1" * 3, "is no readable Parquet file"),
    ],
)
def test_what_is_no_parquet_file_is_a_clear_error(
    tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    refused(tmp_path, {"parquet": str(tmp_path)}, says)


def test_nothing_to_read_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    refused(tmp_path, {"warc": str(tmp_path / "nothing")}, "it is empty")
    refused(tmp_path, {"warc": str(tmp_path / "none" / "*.gz")}, "matches no file")
    (tmp_path / "nothing" / "a.warc.gz").symlink_to(tmp_path / "gone")
    refused(tmp_path, {"warc": str(tmp_path / "nothing")}, "a link to a file that is not there")


def refused(folder: Path, source: dict[str, Any], says: str) -> None:
    """The recipe ends in a GristmillError that says so, and builds nothing."""
    store = Store(folder / ".store")
    with pytest.raises(GristmillError) as caught:
        run_recipe(recipe_of(folder, {"web": source}), store.path, {}, workers=1)
    assert says in str(caught.value)
    assert "web" not in store


@pytest.mark.slow
@pytest.mark.parametrize("records", [0, 3])
def test_a_crawl_of_nothing_usable_gives_empty_datasets(tmp_path: Path, records: int) -> None:
    (tmp_path / "a.warc.gz").write_bytes(member(record(http(b""), 1)) * records)
    run_recipe(RECIPES / "fineweb.yaml", tmp_path / "s", {"crawl": str(tmp_path / "a.warc.gz")}, 1)
    store = Store(tmp_path / "s")
    account(store, "web/clean", records)
    assert [store[name].rows for name in ("web/clean", "web/unique", "web/final")] == [0, 0, 0]
