"""Workers that die in the middle of a record: it is left out and counted, or tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.curate import Curate
from gristmill.errors import TaskError
from gristmill.store import Store
from pipelines import crashes
from tests import toy_ops
from tests.curation.readers.warc_files import http, member, page, record, write
from tests.run_step import run_step

pytestmark = pytest.mark.slow
DEADLY = (3, 8)


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    (tmp_path / "crawl").mkdir()
    pages = [page(i).replace(b"word", b"deadly" if i in DEADLY else b"word") for i in range(12)]
    records = [record(http(body), i) for i, body in enumerate(pages)]
    # One member for all: the records share their offset, and only some may be left out.
    write(tmp_path / "crawl" / "one.warc.gz", [member(b"".join(records))])
    return tmp_path / "crawl"


def curate(crawl: Path, store: Path, *ops: toy_ops.Op) -> tuple[Store, dict[str, str]]:
    step = Curate.model_validate(
        {"name": "web", "use": "curate", "from": {"warc": str(crawl)}, "ops": list(ops)}
    )
    return Store(store), run_step(step, store)


def reasons(store: Store) -> dict[int, str | None]:
    rows = store["web.ledger"].to_table().to_pylist()
    assert len(rows) == 12
    assert store["web"].rows == sum(row["state"] == "kept" for row in rows)
    return {int(row["url"].rsplit("/", 1)[1]): row["reason"] for row in rows}


@pytest.mark.parametrize("how", ["segv", "kill"])
def test_a_record_that_crashes_the_parser_is_left_out_and_counted(
    crawl: Path, tmp_path: Path, how: toy_ops.How
) -> None:
    store, _ = curate(crawl, tmp_path / "store", toy_ops.BrittleExtract(how=how))
    found = reasons(store)
    assert [n for n, reason in found.items() if reason == "read.crashed_worker"] == [*DEADLY]
    assert [n for n, reason in found.items() if reason is None] == [
        n for n in range(12) if n not in DEADLY
    ]
    (note,) = store["web"].build()["notes"]
    assert note.startswith("2 records crash a worker")


def test_a_crash_with_no_record_marked_is_found_record_by_record(
    crawl: Path, tmp_path: Path
) -> None:
    store, _ = curate(crawl, tmp_path / "store", toy_ops.Extract(), toy_ops.Brittle())
    found = reasons(store)
    assert [n for n, reason in found.items() if reason == "read.crashed_worker"] == [*DEADLY]


@pytest.mark.parametrize("op", [toy_ops.BrittleExtract, toy_ops.Brittle])
def test_a_worker_killed_from_outside_loses_no_record(
    crawl: Path, tmp_path: Path, op: type[toy_ops.BrittleExtract] | type[toy_ops.Brittle]
) -> None:
    ops = [] if op is toy_ops.BrittleExtract else [toy_ops.Extract()]
    whole = curate(crawl, tmp_path / "s1", toy_ops.Extract())[1]
    dying = op(how="kill-once", place=str(tmp_path / "killed"))
    assert curate(crawl, tmp_path / "s2", *ops, dying)[1] == whole
    assert (tmp_path / "killed").exists()


def test_a_parser_that_crashes_too_often_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crashes, "MAX_CRASHES", 1)
    deadly = page(0).replace(b"word", b"deadly")
    (tmp_path / "crawl").mkdir()
    write(tmp_path / "crawl" / "a.warc", [record(http(deadly), i) for i in range(2)])
    with pytest.raises(TaskError, match=r"killed by SIGSEGV at record '.*a\.warc'"):
        curate(tmp_path / "crawl", tmp_path / "store", toy_ops.BrittleExtract())
