"""Identity: canonical JSON, digests of values, of rows and of documents.

In: plain values, Arrow batches. Out: hex digests that are equal exactly when the content is.
Shown by: `python -c "from gristmill.ids import digest; print(digest({'a': 1}))"`.
Limit: floats are taken as written (0.1 and 0.10000000000000001 are the same double, so the same
id).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

VERSION_DIGITS = 12


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces. Raises TypeError for anything else.

    Nothing falls back to `str()`: a default repr would silently fork every id that it enters.
    """
    return json.dumps(_plain(value, "$"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value!r} has no canonical form; use a finite number")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        if bad := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{where}: key {bad[0]!r} is not a string; keys must be strings")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(
        f"{where}: a {type(value).__name__} has no canonical form; use JSON values (str, int, …)"
    )


def digest(value: Any) -> str:
    """sha256 (64 hex digits) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def short(hex_digest: str) -> str:
    """The 12 digits that name versions and fingerprints in paths."""
    return hex_digest[:VERSION_DIGITS]


def document_id(url: str | None, date: str | None, payload_sha1: str | None) -> str:
    """The id of a document at birth: 32 hex digits of its source URL, date and payload digest."""
    born = f"{url or ''}\n{date or ''}\n{payload_sha1 or ''}"
    return hashlib.sha256(born.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def text_digests(texts: Iterable[str | bytes | memoryview | None]) -> list[str]:
    """32 hex digits of sha256 for each text (null counts as empty)."""
    out = []
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text or b""
        out.append(hashlib.sha256(raw).hexdigest()[:32])
    return out


class RowDigest:
    """sha256 of logical rows: equal for equal rows however they are chunked, encoded or compressed.

    Each leaf column has three streams (validity, lengths, data), so that batches can be fed one
    after another and chunk borders leave no trace.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows = 0
        self._streams: dict[str, Any] = {}

    def update(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Feed rows; their schema must be the one given at the start."""
        self._rows += batch.num_rows
        for name, column in zip(self._schema.names, batch.columns, strict=True):
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                self._feed(name, chunk)

    def hexdigest(self) -> str:
        """64 hex digits over the schema, the row count and every stream."""
        streams = {path: stream.hexdigest() for path, stream in sorted(self._streams.items())}
        return digest({"schema": schema_text(self._schema), "rows": self._rows, "data": streams})

    def _put(self, path: str, raw: Any) -> None:
        stream = self._streams.get(path)
        if stream is None:
            stream = self._streams[path] = hashlib.sha256()
        stream.update(raw)

    def _feed(self, path: str, array: pa.Array) -> None:
        kind = array.type
        if pa.types.is_dictionary(kind):
            return self._feed(path, array.dictionary_decode())
        if (plain := _plain_type(kind)) is not None:
            return self._feed(path, array.cast(plain))
        if pa.types.is_null(kind):
            return None
        if pa.types.is_map(kind):
            pair = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
            return self._feed(path, array.cast(pa.list_(pair)))
        valid = array.is_valid()
        self._put(f"{path}?", pc.cast(valid, pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_struct(kind):
            for field, child in zip(kind, array.flatten(), strict=True):
                self._feed(f"{path}.{field.name}", child)
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            self._lengths(path, pc.list_value_length(array))
            self._feed(f"{path}[]", array.flatten())
        elif pa.types.is_fixed_size_list(kind):
            self._feed(f"{path}[]", array.flatten())
        elif _is_varying(kind):
            self._lengths(path, pc.binary_length(array))
            self._put(path, _string_data(array))
        else:
            self._put(path, _fixed_data(array))
        return None

    def _lengths(self, path: str, lengths: pa.Array) -> None:
        filled = pc.cast(pc.fill_null(lengths, 0), pa.int64())
        self._put(f"{path}#", filled.to_numpy(zero_copy_only=False).tobytes())


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    """The type that stands for one with another layout of the same values, if it is such a one."""
    if pa.types.is_string_view(kind) or pa.types.is_decimal(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else None


def _is_varying(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _string_data(array: pa.Array) -> Any:
    """The bytes of all non-null strings, one after another, without a copy where possible."""
    if array.null_count:
        array = array.drop_null()  # a null slot may own bytes that are not part of the rows
    if len(array) == 0:
        return b""
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32)
    first, last = int(ends[array.offset]), int(ends[array.offset + len(array)])
    return memoryview(data)[first:last] if data is not None else b""


def _fixed_data(array: pa.Array) -> Any:
    kind = array.type
    if pa.types.is_boolean(kind):
        array = pc.cast(array, pa.uint8())
    elif pa.types.is_fixed_size_binary(kind):
        return b"".join(value or b"" for value in array.to_pylist())
    elif pa.types.is_temporal(kind):
        array = array.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise TypeError(f"rows of type {kind} have no digest; cast the column to a plain type")
    return pc.fill_null(array, 0).to_numpy(zero_copy_only=False).tobytes()


def schema_text(schema: pa.Schema) -> list[list[str]]:
    """Names and types, in order; metadata and nullability are not part of what the rows are."""
    return [[field.name, _type_text(field.type)] for field in schema]


def _type_text(kind: pa.DataType) -> str:
    """Arrow's name of a type, but lists the same whatever their child field is called.

    Arrow says `list<item: …>`, what comes back from Parquet says `list<element: …>`.
    """
    if pa.types.is_struct(kind):
        fields = ", ".join(f"{field.name}: {_type_text(field.type)}" for field in kind)
        return f"struct<{fields}>"
    if pa.types.is_fixed_size_list(kind):
        return f"list<{_type_text(kind.value_type)}>[{kind.list_size}]"
    if pa.types.is_large_list(kind):
        return f"large_list<{_type_text(kind.value_type)}>"
    if pa.types.is_list(kind):
        return f"list<{_type_text(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{_type_text(kind.key_type)}, {_type_text(kind.item_type)}>"
    return str(kind)
