"""Benchmark items: the text of each record of JSON, CSV and Parquet files.

In: files, and how to read them. Out: an Arrow table benchmark, item, item_id, text.
Shown by: `python -m gristmill.decontam.benchmarks 'benchmarks/*.jsonl.gz'`.
Limit: all items are held in memory (1 GB of benchmark text at most is meant).

Without `fields` they are guessed from the first record: every field named in GUESSES, in that
order. Answers and choices are not guessed: they are short, shared by many items, and seldom on a
page together with the question; name them in `fields` where they matter.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from gristmill.errors import GristmillError, nearest
from gristmill.fs import expand, open_file

GUESSES = (
    "context", "passage", "article", "premise", "hypothesis", "question", "question_stem", "query",
    "problem", "prompt", "instruction", "input", "sentence", "text", "ctx", "goal", "story", "stem",
    "context_options", "continuation",
)  # fmt: skip
ID_GUESSES = ("id", "task_id", "question_id", "item_id", "qid", "name")
# "Question: " before every item is the prompt's, not the page's.
_LABEL = re.compile(r"^\s*(question|query|passage|context|problem|q)\s*[:.]\s+", re.IGNORECASE)
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("item", pa.int64()),  # number of the record in its file, from 0
        ("item_id", pa.string()),
        ("text", pa.large_string()),
    ]
)
_PACKED: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": lambda file: io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file), "zstd")),
}
_UNREADABLE = (zlib.error, lzma.LZMAError, pa.ArrowException, UnicodeDecodeError, csv.Error)


class Against(BaseModel):
    """One entry of `against:`: a file or glob, and how to read its records."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str
    fields: list[str] | None = None  # joined by a line break; None: guessed
    name: str | None = None  # of the benchmark; None: the file's name without endings
    id: str | None = None  # the field that identifies a record; None: guessed, else its number


Record = tuple[int, Mapping[str, Any]]


def read_benchmarks(files: Sequence[tuple[str, Against]]) -> pa.Table:
    """The items of all files, in order: SCHEMA. `files` pairs each path with its entry.

    Raises GristmillError, naming file and record, for what cannot be read or holds no text. A
    record whose text is empty is an item without words: the report says that it is not covered.
    """
    names: dict[str, str] = {}
    tables = [SCHEMA.empty_table()]
    for path, entry in files:
        name = entry.name or benchmark_name(path)
        if names.setdefault(name, path) != path and entry.name is None:
            raise GristmillError(
                f"against: {path} and {names[name]} would both be benchmark {name!r}; names must "
                "differ; give one of them `name:`"
            )
        tables.append(_items(path, entry, name))
    return pa.concat_tables(tables)


def benchmark_name(path: str) -> str:
    """`gsm8k_test` of `…/gsm8k_test.jsonl.gz`: the file's name up to its first dot."""
    name = PurePosixPath(path.replace("\\", "/")).name
    return name.split(".")[0] or name


def _items(path: str, entry: Against, name: str) -> pa.Table:
    columns: tuple[list[int], list[str], list[str]] = ([], [], [])
    fields, id_field = entry.fields, entry.id
    for number, record in records(path):
        if not columns[0]:
            fields = fields or _guess(path, number, record)
            id_field = id_field or next((key for key in ID_GUESSES if key in record), None)
        columns[0].append(number)
        found = record.get(id_field) if id_field else None
        columns[1].append(str(number if found is None else found))
        columns[2].append(_item_text(path, number, record, fields or []))
    if not columns[0]:
        raise GristmillError(
            f"against: {path} holds no records; a benchmark has at least one; remove it or mend it"
        )
    same = pa.array([name] * len(columns[0]), pa.string())
    return pa.table([same, *(pa.array(c) for c in columns)], SCHEMA.names).cast(SCHEMA)


def _guess(path: str, number: int, record: Mapping[str, Any]) -> list[str]:
    found = [key for key in GUESSES if _is_text(record.get(key))]
    if not found:
        raise GristmillError(
            f"against: {path}, record {number}: no field is known to hold the question; the record "
            f"has {', '.join(map(repr, record)) or 'no fields'}; one of {', '.join(GUESSES)} must "
            "hold text, or name yours: against: [{path: ..., fields: [...]}]"
        )
    return found


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(entry, str) for entry in value)
    return isinstance(value, str)


def _item_text(path: str, number: int, record: Mapping[str, Any], fields: list[str]) -> str:
    parts = []
    for key in fields:
        if key not in record:
            raise GristmillError(
                f"against: {path}, record {number}: no field {key!r}{nearest(key, record)}; every "
                "record must have the fields that make up its text; correct `fields:` of this entry"
            )
        value = record[key]
        if value is None:
            continue
        if isinstance(value, str):
            parts.append(_LABEL.sub("", value, count=1))
        elif _is_text(value) or value == []:
            parts.append("\n".join(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            parts.append(str(value))
        else:
            raise GristmillError(
                f"against: {path}, record {number}: field {key!r} is {str(value)[:80]!r}; it must "
                "hold text, a number or a list of texts; name other fields: "
                "against: [{path: ..., fields: [...]}]"
            )
    return "\n".join(parts)


def records(path: str) -> Iterator[Record]:
    """Number and fields of each record of a JSON, JSON Lines, CSV, TSV or Parquet file."""
    suffixes = [part.lower() for part in PurePosixPath(path).suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in _PACKED else ""
    kind = suffixes[-1] if suffixes else ""
    reader = {
        ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_any,
        ".csv": _csv, ".tsv": _csv, ".parquet": _parquet,
    }.get(kind)  # fmt: skip
    if reader is None:
        raise GristmillError(
            f"against: {path} is of no known format; benchmarks are .jsonl, .ndjson, .json, .csv, "
            ".tsv (also .gz, .zst, .bz2, .xz) or .parquet files; convert or rename it"
        )
    try:
        with open_file(path) as outer:
            with _PACKED[packed](outer) if packed else outer as file:
                yield from reader(path, file)
    except (*_UNREADABLE, OSError, EOFError) as e:
        raise GristmillError(
            f"against: {path} cannot be read ({type(e).__name__}: {e}); it must be a whole "
            f"{kind}{packed} file in UTF-8; fetch or export it again"
        ) from e


def _json_lines(path: str, file: IO[bytes]) -> Iterator[Record]:
    number = 0
    for line_number, line in enumerate(file):
        if line.strip():
            yield number, _object(path, number, _loads(path, f"line {line_number + 1}", line))
            number += 1


def _json_any(path: str, file: IO[bytes]) -> Iterator[Record]:
    """A JSON array of records, an object that holds one, or JSON lines under the wrong ending."""
    raw = file.read()
    try:
        loaded = json.loads(raw)
    except ValueError:
        yield from _json_lines(path, io.BytesIO(raw))
        return
    if isinstance(loaded, dict):
        lists = [v for v in loaded.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        loaded = lists[0] if len(lists) == 1 else [loaded]
    if not isinstance(loaded, list):
        _object(path, 0, loaded)
    for number, record in enumerate(loaded):
        yield number, _object(path, number, record)


def _loads(path: str, where: str, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise GristmillError(
            f"against: {path}, {where}: {raw[:80]!r} is not JSON ({error}); each line of a .jsonl "
            "file must be one JSON object; mend the file"
        ) from None


def _object(path: str, number: int, record: Any) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise GristmillError(
            f"against: {path}, record {number}: {str(record)[:80]!r} is a {type(record).__name__}; "
            "each record must be a JSON object with named fields; convert the file"
        )
    return record


def _csv(path: str, file: IO[bytes]) -> Iterator[Record]:
    csv.field_size_limit(min(sys.maxsize, (1 << 31) - 1))
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    delimiter = "\t" if ".tsv" in path.lower() else ","
    for number, row in enumerate(csv.DictReader(text, delimiter=delimiter)):
        yield number, {key: value for key, value in row.items() if key is not None}


def _parquet(path: str, file: IO[bytes]) -> Iterator[Record]:
    number = 0
    for batch in pq.ParquetFile(file).iter_batches(1024):
        for record in batch.to_pylist():
            yield number, record
            number += 1


if __name__ == "__main__":
    for found in expand(sys.argv[1:]):
        items = read_benchmarks([(found.path, Against(path=found.path))])
        print(f"{items['benchmark'][0]}: {len(items)} items: {items['text'][0].as_py()[:80]!r}")
