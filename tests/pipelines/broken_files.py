"""JSONL, text, HTML and Parquet with faults, and what must become of their records.

In: a folder. Out: files in it, and for each the reason of its records (None: kept; "?": whatever
the rules say). Shown by: tests/pipelines/test_faults.py. Limit: as in broken_warcs.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.demo.compose import bulletin
from tests.pipelines.broken_warcs import deflated, html

Reasons = list[str | None]
HUGE = 100_000_000  # bytes of the long line


def text(number: int) -> str:
    """English text that the recipe keeps, another for each number."""
    return bulletin(random.Random(f"sound:{number}"), "en").text()


def line(number: int = 0, /, **more: Any) -> bytes:
    """A sound JSONL row."""
    return json.dumps({"text": text(number), **more}).encode()


def long_line() -> str:
    """One line of 100 MB."""
    once = text(7).replace("\n", " ") + " "
    return (once * (HUGE // len(once) + 1))[:HUGE]


def write_jsonl(folder: Path) -> dict[str, Reasons]:
    """Odd rows between sound ones, and damaged files."""
    rows = list(_json_rows())
    content = b"\n".join(line(i) + b"\n" + row for i, (row, _) in enumerate(rows))
    (folder / "rows.jsonl").write_bytes(content)
    expected = {"rows.jsonl": [r for _, reason in rows for r in (None, reason)]}
    some = b"\n".join(line(i) for i in range(30))
    damaged: dict[str, tuple[bytes, Reasons]] = {
        "empty.jsonl": (b"", []),
        "blank.jsonl": (b"\n\n \r\n\n", []),
        "no end.jsonl": (line(1), [None]),
        "line ends of Windows.jsonl": (line(1) + b"\r\n" + line(2) + b"\r\n", [None, None]),
        "not a gzip.jsonl.gz": (b"hello", ["read.corrupt"]),
        "empty.jsonl.gz": (b"", []),
        "bomb.jsonl.gz": (deflated(1), ["read.too_large", "read.corrupt"]),
        "trailing bytes.jsonl.gz": (gzip.compress(line(1)) + b"junk", ["read.corrupt"]),
        "cut.jsonl.xz": (lzma.compress(some)[:-900], ["read.corrupt"]),
        "noise.jsonl.xz": (b"hello", ["read.corrupt"]),
        "cut.jsonl.bz2": (bz2.compress(some)[:-900], ["read.truncated"]),
        "noise.jsonl.zst": (b"hello", ["read.corrupt"]),
        "cut.jsonl.zst": (pa.compress(some, "zstd", asbytes=True)[:-900], ["read.truncated"]),
    }
    cut = gzip.compress(some, mtime=0)[:-2000]
    whole = zlib.decompressobj(31).decompress(cut).count(b"\n")
    damaged["cut.jsonl.gz"] = (cut, [*[None] * whole, "read.truncated"])
    for name, (data, reasons) in damaged.items():
        (folder / name).write_bytes(data)
        expected[name] = reasons
    return expected


def _json_rows() -> Iterator[tuple[bytes, str | None]]:
    yield b'{"text": "abc', "read.bad_json"
    yield b"[1, 2]", "read.bad_json"
    yield b'{"text": "caf\xe9"}', "read.bad_json"
    yield b'{"text": "a\x00b"}', "read.bad_json"
    yield b'{"text": "a", "n": ' + b"9" * 10_000 + b"}", "read.bad_json"
    yield b'{"text": "a", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "read.bad_json"
    yield b'{"body": "a"}', "read.no_text"
    yield b'{"text": null}', "read.no_text"
    yield b'{"text": 5}', "read.no_text"
    yield b'{"text": ["a"]}', "read.no_text"
    yield b'{"text": ""}', "read.empty"
    yield b'{"text": "\\u0000\\u0001"}', "extract.empty"
    yield b'{"text": "\\ud800 x", "id": "\\udfff", "\\udc00": 1}', "?"
    yield line(100, number=float("nan"), other=float("-inf")), None
    yield line(101, id={"a": 1}, url=[1], date={"b": 2}), None
    yield line(102, id=5, url=7, date=20240101, language=True), None
    yield line(103, id="x" * 1_000_000, url="y" * 1_000_000), None
    yield line(104, id="the same", url="http://a.example/"), None
    yield line(105, id="the same", url="http://a.example/"), None
    yield line(106, more="z" * (20 << 20)), None
    yield line(107, text2="\U0010ffff\ufffe"), None
    yield b"\xef\xbb\xbf" + line(108), None
    yield b'{"text": "%s"}' % (b"word " * (4 << 20)), "read.too_large"


def write_texts(folder: Path) -> dict[str, Reasons]:
    """Text files."""
    files: dict[str, tuple[bytes, str | None]] = {
        "sound.txt": (text(1).encode(), None),
        "empty.txt": (b"", "read.empty"),
        "spaces.txt": (b" \n" * 99, "?"),
        "UTF-16.txt": (text(2).encode("utf-16"), None),
        "Latin-1.txt": (text(3).encode() + b" caf\xe9", None),
        "noise.txt": (random.Random(1).randbytes(5000), "?"),
        "NUL bytes.txt": (bytes(5000), "extract.empty"),
        "17 MB.txt": (b"word and " * (2 << 20), "read.too_large"),
        "bomb.txt.gz": (deflated(1), "read.too_large"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return {name: [reason] for name, (_, reason) in files.items()}


def write_pages(folder: Path) -> dict[str, Reasons]:
    """HTML files, one with a name that is no UTF-8."""
    files: dict[str, tuple[bytes, str | None]] = {
        "sound.html": (html(1), None),
        "empty.html": (b"", "read.empty"),
        "bomb.html.gz": (deflated(1), "read.too_large"),
        "cut.html.gz": (gzip.compress(html(2), mtime=0)[:-200], None),
        "new\nline\t.html": (html(3), None),
        "caf\udce9.html": (html(4), None),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return {name.replace("\udce9", r"\xe9"): [reason] for name, (_, reason) in files.items()}


def write_tables(folder: Path) -> dict[str, Reasons]:
    """Parquet files of the right schema with odd values, and one with a damaged page."""
    texts = [text(i) for i in range(200)]
    offsets = pa.py_buffer(b"\0\0\0\0\3\0\0\0\6\0\0\0")
    invalid = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"\xff\xfeaabc"))
    nested = pa.StructArray.from_arrays([invalid], ["x"])
    eons = pa.array([2**62, -(2**62)], pa.timestamp("us"))
    tables: dict[str, tuple[pa.Table, Reasons]] = {
        "null.parquet": (
            pa.table({"text": [text(1), None, ""]}),
            [None, "read.no_text", "read.empty"],
        ),
        "binary.parquet": (pa.table({"text": [text(2).encode(), b"\xff\xfe"]}), [None, "?"]),
        "invalid.parquet": (pa.table({"text": invalid, "url": invalid, "m": nested}), ["?", "?"]),
        "eons.parquet": (pa.table({"text": texts[:2], "date": eons, "m": eons}), [None, None]),
        "no rows.parquet": (pa.table({"text": pa.array([], pa.string())}), []),
        "damaged.parquet": (pa.table({"text": texts}), ["?"] * 200),
    }
    for name, (table, _) in tables.items():
        pq.write_table(table, folder / name, row_group_size=50)
    content = (folder / "damaged.parquet").read_bytes()
    (folder / "damaged.parquet").write_bytes(content[:9000] + b"\xff" * 99 + content[9099:])
    return {name: reasons for name, (_, reasons) in tables.items()}
