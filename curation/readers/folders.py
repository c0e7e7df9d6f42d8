"""Folders of HTML or text: one document a file.

In: files. Out: rows of schema RAW. Shown by: `python -m curation.readers FOLDER`.
Limit: a file has no URL of its own; `base_url` plus the file's name makes one.
"""

from __future__ import annotations

from curation.charset import decode
from curation.readers.http import decode_content
from curation.readers.schema import MAX_RECORD_BYTES, Rows, sha1_hex
from gristmill import fs


def add_file(rows: Rows, file: fs.InputFile, html: bool, base_url: str | None) -> None:
    """One file as one row; too large or damaged ones with their error."""
    url = base_url + file.name if base_url else None
    if file.size > MAX_RECORD_BYTES:
        rows.add(file.name, 0, file.size, url=url, error="too_large")
        return
    raw = fs.read_range(file.path, 0, MAX_RECORD_BYTES + 1)
    body, error = raw, None
    if file.name.endswith(".gz"):
        body, error = decode_content(raw, b"gzip", MAX_RECORD_BYTES)
    error = error or ("too_large" if len(body) > MAX_RECORD_BYTES else None)
    rows.add(
        file.name,
        0,
        len(raw),
        url=url,
        payload=body if html else None,
        payload_sha1=sha1_hex(body),
        content_type="text/html" if html else "text/plain",
        text=None if html or error else decode(body).text,
        error=error or (None if body else "empty"),
    )
