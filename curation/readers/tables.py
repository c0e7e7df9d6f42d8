"""Parquet: rows of some row groups as documents.

In: a Parquet file and a range of row groups. Out: rows of schema RAW; offset is the row's number
in the file.
Shown by: `python -m curation.readers FILE.parquet`. Limit: nested columns become JSON in
`metadata`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from curation.readers.lines import Fields, add_row
from curation.readers.schema import Rows
from gristmill import fs
from gristmill.errors import GristmillError

_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_string_view,
    pa.types.is_binary_view,
)


def open_parquet(path: str) -> pq.ParquetFile:
    """The opened file; GristmillError when it is none."""
    try:
        return pq.ParquetFile(fs.open_file(path))
    except (pa.ArrowException, OSError) as error:
        raise GristmillError(
            f"{path!r} is no readable Parquet file ({str(error).splitlines()[0]}); "
            "fetch it again or leave it out of the pattern"
        ) from error


def check_columns(file: pq.ParquetFile, path: str, fields: Fields) -> list[str]:
    """The columns to read, in the file's order; GristmillError when there is no text column."""
    schema = file.schema_arrow
    wanted = fields.html or fields.text
    option = "html_field" if fields.html else "text_field"
    if schema.names.count(wanted) > 1:
        raise GristmillError(f"{path!r} has several columns {wanted!r}; rename all but one")
    if wanted not in schema.names:
        raise GristmillError(
            f"{path!r} has no column {wanted!r} (it has {', '.join(schema.names[:20])}); "
            f"name the one that holds the documents with `{option}:`"
        )
    kind = schema.field(wanted).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not any(check(kind) for check in _TEXT):
        raise GristmillError(
            f"column {wanted!r} of {path!r} is {kind}, not a string; name another with `{option}:`"
        )
    named = fields.named()
    if fields.metadata is True:
        return list(schema.names)
    more = set(fields.metadata or ())
    return [name for name in schema.names if name in named or name in more]


def read_row_groups(
    path: str, name: str, first: int, last: int, fields: Fields
) -> Iterator[pa.RecordBatch]:
    """Rows of row groups [first, last)."""
    file = open_parquet(path)
    columns = check_columns(file, path, fields)
    groups = [file.metadata.row_group(i).num_rows for i in range(last)]
    row = sum(groups[:first])
    rows = Rows()
    for group in range(first, last):
        end = row + groups[group]
        try:
            for batch in file.iter_batches(128, row_groups=[group], columns=columns):
                for values in _pylist(batch):
                    add_row(rows, name, row, 1, values, fields)
                    row += 1
                    if rows.full:
                        yield rows.flush()
        except (pa.ArrowException, OSError) as error:
            # A damaged page: what the footer promises and cannot be had is named, row by row.
            reason = "truncated" if "nd of" in str(error) else "corrupt"
            while row < end:
                rows.add(name, row, 1, error=reason)
                row += 1
                if rows.full:
                    yield rows.flush()
    if len(rows):
        yield rows.flush()


def _pylist(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """Rows as dictionaries; strings that are not UTF-8 come as bytes."""
    names = batch.schema.names
    columns = [_values(array) for array in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(array: pa.Array) -> list[object]:
    """Python values of a column; None where Python has none (a time after the year 9999)."""
    try:
        return array.to_pylist()
    except (ValueError, OverflowError):
        if any(check(array.type) for check in _TEXT):
            return array.cast(pa.binary()).to_pylist()
        return [_value(scalar) for scalar in array]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return None
