"""Columns as statistics see them: what rows are grouped by, and the number that stands for a value.

In: a dataset and a column's name. Out: SQL. Shown by: `gristmill stats web/clean --by host`.
Limit: `host` is read from `url` by a pattern, so an address that no browser would open has one too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.errors import StoreError, nearest
from gristmill.store import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

# Scheme, maybe user and password, then the host: up to a port, a path, a query or a fragment.
_URL = r"^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]*)"
HOST = f"lower(regexp_extract(url, '{_URL}', 1))"
HOSTS = {"host", "fqdn"}
TOKENS = ("count", "token_count")  # of a token dataset, of documents that were counted


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def grouping(dataset: Dataset, by: str | None) -> dict[str, str]:
    """Quoted name -> SQL of each column to group by; several are separated by commas."""
    if by is None:
        return {}
    there = set(dataset.schema.names)
    names = [by] if by in there else [name.strip() for name in by.split(",")]
    return {quoted(name): _group(dataset, name) for name in names}


def _group(dataset: Dataset, name: str) -> str:
    if name in HOSTS and name not in dataset.schema.names and "url" in dataset.schema.names:
        return HOST
    column_type(dataset, name)
    return quoted(name)


def measure(dataset: Dataset, column: str) -> str | None:
    """SQL of the number that stands for a value, or None where there is none to measure.

    A number stands for itself (null where it is not finite), text for its characters, a list for
    its items.
    """
    import pyarrow as pa  # 0.1 s: not for what manifests answer

    if column in HOSTS and column not in dataset.schema.names:
        return None
    kind = column_type(dataset, column)
    name = quoted(column)
    if pa.types.is_floating(kind):
        return f"case when isfinite({name}) then {name} end"
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return name
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or column == "text":
        return f"length({name})"
    return None


def column_type(dataset: Dataset, column: str) -> pa.DataType:
    """The Arrow type of a column, or StoreError with the nearest name."""
    schema = dataset.schema
    if column not in schema.names:
        known = [*schema.names, *(["host"] if "url" in schema.names else [])]
        raise StoreError(f"{dataset.name} has no column {column!r}{nearest(column, known)}")
    return schema.field(column).type


def tokens_column(dataset: Dataset) -> str | None:
    """The column that counts a row's tokens, if there is one."""
    import pyarrow as pa

    schema = dataset.schema
    for name in TOKENS[dataset.manifest["kind"] != "tokens" :]:  # `count` of other rows is not ours
        if name in schema.names and pa.types.is_integer(schema.field(name).type):
            return name
    return None
