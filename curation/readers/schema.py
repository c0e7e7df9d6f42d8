"""The one shape in which every reader hands on a record, and the builder of its batches.

In: fields of records, one by one. Out: `pa.RecordBatch`es of schema RAW, small enough for a worker.
Shown by: `python -c "from curation.readers import RAW; print(RAW)"`. Limit: a batch holds at
least one record, however large, so `MAX_RECORD_BYTES` is what bounds memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

BATCH_BYTES = 32 << 20
BATCH_ROWS = 512
# A body, line or file above this is a row with error "too_large": a worker stays under 1.5 GB
# with it.
MAX_RECORD_BYTES = 128 << 20

RAW = pa.schema(
    [
        ("file", pa.string()),  # name under the root of the source's pattern
        ("offset", pa.int64()),  # byte of the (compressed) record; row of a Parquet file
        ("length", pa.int64()),
        ("url", pa.string()),
        ("date", pa.string()),  # ISO 8601, as the format has it
        ("payload", pa.binary()),  # body with transfer and content encoding undone
        ("payload_sha1", pa.string()),  # hex, of the body as it lies in the file
        ("content_type", pa.string()),  # mime type of the HTTP header
        ("charset", pa.string()),  # of the HTTP header
        ("text", pa.string()),  # for formats that are text already
        ("language", pa.string()),
        ("id", pa.string()),
        ("metadata", pa.string()),  # JSON object of the fields that have no column
        ("error", pa.string()),  # null, or why this record cannot be used
    ]
)
# error                what it says
# truncated            the compressed stream, file or line ends inside the record
# corrupt              the compressed stream is damaged
# not_warc             bytes between records that belong to none
# bad_warc_header      a record whose header cannot be read
# bad_http             no HTTP header can be told from the body
# http_status          a status other than 2xx
# bad_encoding         Content-Encoding is declared and cannot be undone
# too_large            more than MAX_RECORD_BYTES, decoded
# bad_json             a line that is no JSON object
# no_text              the text field is absent or not a string
# empty                a body of no bytes
# A file that cannot be read at all is no row but a failed task: its content is part of what was
# asked, and the same command goes on when it can be read again.


@dataclass(slots=True)
class Rows:
    """Collects records; says when a batch is full."""

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in RAW.names})
    size: int = 0

    def add(
        self,
        file: str,
        offset: int,
        length: int,
        *,
        url: str | None = None,
        date: str | None = None,
        payload: bytes | memoryview | None = None,
        payload_sha1: str | None = None,
        content_type: str | None = None,
        charset: str | None = None,
        text: str | None = None,
        language: str | None = None,
        id: str | None = None,
        metadata: str | None = None,
        error: str | None = None,
    ) -> None:
        """Append one record; one with an error keeps no payload and no text."""
        if error is not None:
            payload = text = None
        values: list[Any] = [file, offset, length, url, date, payload, payload_sha1, content_type]
        values += [charset, text, language, id, metadata, error]
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)
        self.size += len(payload or b"") + len(text or "") + len(metadata or "")

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.columns["file"]) >= BATCH_ROWS

    def __len__(self) -> int:
        return len(self.columns["file"])

    def flush(self) -> pa.RecordBatch:
        """The batch so far; the builder is empty afterwards."""
        arrays = [
            binary_array(self.columns[item.name])
            if item.name == "payload"
            else pa.array(self.columns[item.name], item.type)
            for item in RAW
        ]
        self.columns = {name: [] for name in RAW.names}
        self.size = 0
        return pa.RecordBatch.from_arrays(arrays, schema=RAW)


def binary_array(values: list[bytes | None]) -> pa.Array:
    """A binary column by one join: a builder that grows copies megabytes several times."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) if value is not None else 0 for value in values], out=offsets[1:])
    data = pa.py_buffer(b"".join(value for value in values if value is not None))
    missing = [value is None for value in values]
    valid = pa.array([not gone for gone in missing]).buffers()[1] if any(missing) else None
    return pa.Array.from_buffers(pa.binary(), len(values), [valid, pa.py_buffer(offsets), data])


def sha1_hex(data: bytes | memoryview) -> str:
    """sha1 of a body, hex: joins with gold and with other tools' outputs."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def valid_text(text: str) -> str:
    """The string without lone surrogates (JSON may hold them; UTF-8 and Arrow cannot)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
