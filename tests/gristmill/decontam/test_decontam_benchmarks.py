"""Benchmark files: every format gives its items; what cannot be read says which record and why."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.decontam.benchmarks import Against, read_benchmarks
from gristmill.errors import GristmillError

ROWS = [
    {"id": "a7", "question": "How many grains are in a sack?", "choices": ["one", "two"]},
    {"id": "a8", "question": "Who turned the mill?", "choices": ["wind", "water"]},
]


def texts(path: Path, **options: Any) -> list[str]:
    entry = Against(path=str(path), **options)
    return read_benchmarks([(str(path), entry)])["text"].to_pylist()  # type: ignore[no-any-return]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def test_every_format_and_compression_gives_the_same_items(tmp_path: Path) -> None:
    raw = lines(ROWS)
    zst = pa.BufferOutputStream()
    with pa.CompressedOutputStream(zst, "zstd") as packed:
        packed.write(raw)
    written = {
        "a.jsonl": raw,
        "b.ndjson": b"\n" + raw + b"\n\n",
        "c.jsonl.gz": gzip.compress(raw[:60]) + gzip.compress(raw[60:]),
        "d.jsonl.bz2": bz2.compress(raw),
        "e.jsonl.xz": lzma.compress(raw),
        "f.jsonl.zst": zst.getvalue().to_pybytes(),
        "g.json": json.dumps(ROWS).encode(),
        "h.json": json.dumps({"data": ROWS, "version": 1}).encode(),
        "i.json": raw,
        "j.csv": b"\xef\xbb\xbfid,question\r\na7,How many grains are in a sack?\r\n"
        b'"a8","Who turned the mill?"\r\n',
        "k.tsv.gz": gzip.compress(
            b"question\tid\nHow many grains are in a sack?\ta7\nWho turned the mill?\ta8\n"
        ),
    }
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "l.parquet")
    for name in [*written, "l.parquet"]:
        path = str(tmp_path / name)
        items = read_benchmarks([(path, Against(path=path))])
        assert items.to_pylist() == [
            {"benchmark": name[0], "item": n, "item_id": row["id"], "text": row["question"]}
            for n, row in enumerate(ROWS)
        ], name


def test_fields_are_guessed_or_named_and_lists_are_joined(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(lines(ROWS))
    assert texts(file, fields=["question", "choices"])[0].splitlines() == [
        "How many grains are in a sack?",
        "one",
        "two",
    ]
    file.write_bytes(
        lines(
            [{"context_options": ["The sack", "The mill"], "continuation": "was full.", "gold": 0}]
        )
    )
    assert texts(file) == ["The sack\nThe mill\nwas full."]
    file.write_bytes(lines([{"query": "Question: Who mills?\n"}, {"query": None}, {"query": ""}]))
    assert texts(file) == ["Who mills?\n", "", ""]
    file.write_bytes(lines([{"n": 3, "ask": "What is next?"}]))
    assert texts(file, fields=["ask", "n"]) == ["What is next?\n3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"question": "a"}\n{"question": oops}\n', r"line 2: .*oops.*not JSON"),
        ("x.jsonl", b'{"question": "a"}\n["b"]\n', r"record 1: .*\['b'\].* is a list"),
        (
            "x.jsonl",
            b'{"q1": "a", "gold": 2}',
            r"record 0: no field .*'q1', 'gold'; one of",
        ),
        ("x.jsonl", b'{"question": "a"}\n{"prompt": "b"}', r"record 1: no field 'question'"),
        ("x.jsonl", b'{"question": "a"}\n{"question": {"b": 1}}', r"record 1: .*\{'b': 1\}"),
        ("x.jsonl", b"", r"holds no records"),
        ("x.jsonl.gz", gzip.compress(lines(ROWS))[:-12], r"cannot be read \(EOFError"),
        ("x.jsonl.gz", b"no gzip", r"cannot be read"),
        ("x.jsonl.zst", b"no zstd", r"cannot be read"),
        ("x.parquet", b"PAR1", r"cannot be read"),
        ("x.csv", b"question\n\xff\xfe\n", r"cannot be read \(UnicodeDecodeError"),
        ("x.txt", b"a question", r"of no known format.*\.jsonl"),
    ],
)
def test_what_cannot_be_read_names_file_record_value_and_fix(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GristmillError, match=message) as error:
        texts(tmp_path / name)
    assert name in str(error.value)


def test_two_files_of_one_name_are_an_error_unless_one_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / side / "x.jsonl" for side in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(lines(ROWS))
    both = [(str(path), Against(path=str(path))) for path in paths]
    with pytest.raises(GristmillError, match="both be benchmark 'x'"):
        read_benchmarks(both)
    named = [both[0], (str(paths[1]), Against(path=str(paths[1]), name="y"))]
    assert read_benchmarks(named)["benchmark"].unique().to_pylist() == ["x", "y"]


def test_the_shared_benchmarks_are_read_without_configuration(shared_data: Path) -> None:
    files = sorted((shared_data / "benchmarks").glob("*.jsonl.gz"))
    items = read_benchmarks([(str(file), Against(path=str(file))) for file in files])
    counts = {c["values"]: c["counts"] for c in items["benchmark"].value_counts().to_pylist()}
    assert len(counts) == len(files) == 19
    assert counts["gsm8k_test"] == 1319 and counts["human_eval"] == 164
    assert all(text.strip() for text in items["text"].to_pylist())
