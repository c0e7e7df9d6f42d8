"""JSONL, Parquet, HTML folders and text: whole, cut, packed and broken."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curation.readers.lines as lines_module
from curation.readers import plan_splits, read, read_record
from gristmill.errors import GristmillError
from tests.curation.readers.warc_files import rows_of


def jsonl(count: int) -> bytes:
    rows = [{"text": f"text {i} " + "x" * i, "url": f"u{i}", "label": i} for i in range(count)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("split_bytes", [40, 100, 1000, 10**6])
def test_jsonl_ranges_give_every_line_once(tmp_path: Path, split_bytes: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(50))
    rows = rows_of({"jsonl": str(path)}, split_bytes)
    assert [row["url"] for row in rows] == [f"u{i}" for i in range(50)]
    data = path.read_bytes()
    for row in rows:
        line = json.loads(data[row["offset"] : row["offset"] + row["length"]])
        assert line["text"] == row["text"] and json.loads(row["metadata"]) == {
            "label": line["label"]
        }
    again = read_record({"jsonl": str(path)}, "a.jsonl", rows[7]["offset"], rows[7]["length"])
    assert again is not None and again["url"][0].as_py() == "u7"


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2", ".xz", ".gz+members"])
def test_packed_jsonl(tmp_path: Path, ending: str) -> None:
    import bz2
    import lzma

    data = jsonl(50)
    packers = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": lambda raw: pa.Codec("zstd").compress(raw, asbytes=True),
        ".gz+members": lambda raw: gzip.compress(raw[:300]) + gzip.compress(raw[300:]),
    }
    path = tmp_path / ("a.jsonl" + ending.split("+")[0])
    path.write_bytes(packers[ending](data))
    assert [row["url"] for row in rows_of({"jsonl": str(path)})] == [f"u{i}" for i in range(50)]
    path.write_bytes(packers[ending](data)[:-20])
    rows = rows_of({"jsonl": str(path)})
    assert rows[-1]["error"] in ("truncated", "corrupt", "bad_json")


def test_bad_lines_are_rows_with_their_reason(tmp_path: Path) -> None:
    bad = [
        b'{"text": "good"}',
        b"{not json",
        b"[1, 2]",
        b'{"text": 5}',
        b'{"other": "x"}',
        b"",
        b'{"text": ""}',
        b'{"text": "a\\ud800b\\u0000"}',
        b'{"text": "\xff\xfe"}',
        b"[" * 100_000,
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(bad))
    rows = rows_of({"jsonl": str(path)})
    reasons = [row["error"] for row in rows]
    assert reasons == [
        None, "bad_json", "bad_json", "no_text", "no_text", "empty", None, "bad_json", "bad_json",
    ]  # fmt: skip
    assert rows[6]["text"] == "a�b\0"


def test_a_line_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_RECORD_BYTES", 3 << 20)
    long = json.dumps({"text": "x" * (9 << 20)}).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n' + long + b'\n{"text": "b"}\n')
    rows = rows_of({"jsonl": str(path)})
    assert [row["error"] for row in rows] == [None, "too_large", None]
    assert rows[1]["length"] == len(long) and rows[2]["text"] == "b"
    path.write_bytes(b'{"text": "a"}\n' + long)
    assert [row["error"] for row in rows_of({"jsonl": str(path)})] == [None, "too_large"]


def test_fields_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"body": "<p>hi</p>", "link": "u", "when": 7, "k": 1, "m": [2]}
    path.write_text(json.dumps(row))
    source = {
        "jsonl": str(path), "html_field": "body", "url_field": "link", "date_field": "when",
        "metadata": ["m"],
    }  # fmt: skip
    (found,) = rows_of(source)
    assert found["payload"] == b"<p>hi</p>" and found["content_type"] == "text/html"
    assert (found["url"], found["date"], found["metadata"]) == ("u", "7", '{"m": [2]}')
    (bare,) = rows_of({"jsonl": str(path), "text_field": "body", "metadata": False})
    assert bare["text"] == "<p>hi</p>" and bare["metadata"] is None


def test_parquet_by_row_groups(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": list(range(100)),
            "text": pa.array([f"text {i}" for i in range(100)]).dictionary_encode(),
            "date": pa.array([0] * 100, pa.timestamp("s")),
            "tags": [[i] for i in range(100)],
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=10)
    assert len(plan_splits({"parquet": str(path)}, 64)) == 10
    for split_bytes in (64, 10**9):
        rows = rows_of({"parquet": str(path)}, split_bytes)
        assert [row["offset"] for row in rows] == list(range(100))
        assert rows[42]["text"] == "text 42" and rows[42]["id"] == "42"
        assert rows[42]["date"] == "1970-01-01T00:00:00"
        assert json.loads(rows[42]["metadata"]) == {"tags": [42]}
    again = read_record({"parquet": str(path)}, "a.parquet", 42, 1)
    assert again is not None and again["text"][0].as_py() == "text 42"


def test_parquet_of_another_schema_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    pq.write_table(pa.table({"content": ["x"], "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(GristmillError, match=r"no column 'text' \(it has content, n\)"):
        plan_splits({"parquet": str(tmp_path)})
    with pytest.raises(GristmillError, match="int64, not a string"):
        plan_splits({"parquet": str(tmp_path), "text_field": "n"})
    assert len(rows_of({"parquet": str(tmp_path), "text_field": "content"})) == 1
    (tmp_path / "b.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(GristmillError, match="no readable Parquet"):
        plan_splits({"parquet": str(tmp_path), "text_field": "content"})


def test_a_damaged_parquet_page_names_every_row_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{i} {os.urandom(50).hex()}" for i in range(1000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=500, use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(bytes(data))
    rows = rows_of({"parquet": str(path)})
    assert [row["offset"] for row in rows] == list(range(1000))
    assert [row["error"] for row in rows[:500]] == [None] * 500
    assert all(row["error"] for row in rows[500:])


def test_html_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_bytes(b"<p>\xe9t\xe9")
    (tmp_path / "sub" / "b.html.gz").write_bytes(gzip.compress(b"<p>two"))
    (tmp_path / "empty.htm").write_bytes(b"")
    (tmp_path / "note.txt").write_text("no page")
    rows = rows_of({"html": str(tmp_path), "base_url": "https://x.example/"})
    assert [(row["file"], row["payload"], row["error"]) for row in rows] == [
        ("a.html", b"<p>\xe9t\xe9", None),
        ("empty.htm", None, "empty"),
        ("sub/b.html.gz", b"<p>two", None),
    ]
    assert rows[2]["url"] == "https://x.example/sub/b.html.gz"


def test_small_files_are_read_together(tmp_path: Path) -> None:
    for i in range(3000):
        (tmp_path / f"{i:05d}.txt").write_text(f"document {i}")
    splits = plan_splits({"text": str(tmp_path)})
    assert [len(split.files) for split in splits] == [2048, 952]
    assert [row["text"] for row in rows_of({"text": str(tmp_path)})] == [
        f"document {i}" for i in range(3000)
    ]


def test_text_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\n\ntwo\nthree")
    rows = rows_of({"text": str(tmp_path), "unit": "line"})
    assert [(row["text"], row["offset"]) for row in rows] == [("one", 0), ("two", 6), ("three", 10)]


def test_a_file_that_goes_away_is_an_error(tmp_path: Path) -> None:
    for name in ("a.html", "a.jsonl", "a.warc"):
        (tmp_path / name).write_text("x")
    for kind, name in (("html", "a.html"), ("jsonl", "a.jsonl"), ("warc", "a.warc")):
        (split,) = plan_splits({kind: str(tmp_path / name)})
        (tmp_path / name).unlink()
        with pytest.raises(GristmillError, match=r"cannot read .*no such file"):
            list(read(split))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"wrac": "x"}, "did you mean 'warc'"),
        ({"warc": "x", "jsonl": "y"}, "names one format"),
        ({"jsonl": "x", "text_feild": "y"}, "did you mean 'text_field'"),
        ({"warc": "x", "text_field": "y"}, "unknown option 'text_field' of a warc source"),
        ({"warc": []}, "takes a file, glob or directory"),
        ({"text": "x", "unit": "page"}, "not one of file, line"),
        ("dump.bin", "cannot tell the format"),
        (5, "a source is a mapping"),
    ],
)
def test_wrong_sources_say_what_is_right(source: object, words: str) -> None:
    with pytest.raises(GristmillError, match=words):
        plan_splits(source)


def test_splits_depend_on_the_input_alone(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / f"{i}.jsonl").write_bytes(jsonl(50 * i + 1))
    source = {"jsonl": str(tmp_path)}
    assert plan_splits(source, 500) == plan_splits(source, 500)
    assert rows_of(source, 500) == rows_of(source)
