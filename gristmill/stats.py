"""Statistics of a dataset: totals and counts from its manifest, anything else by one scan.

In: a dataset, a column to group by, a column to measure. Out: rows ready to print.
Shown by: `gristmill stats web/clean --by language`.
Limit: quantiles are exact, so a measured column is held in memory (8 bytes a row).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.errors import StoreError, nearest
from gristmill.store import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
HOST = "regexp_extract(url, '^[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#:]*)', 1)"


def totals(dataset: Dataset) -> dict[str, Any]:
    """Rows, bytes, text bytes and shards of a version. No row is read."""
    found = dataset.manifest["totals"]
    return {
        "name": dataset.name,
        "version": dataset.version,
        "kind": dataset.manifest["kind"],
        "rows": found["rows"],
        "bytes": found["bytes"],
        "text_bytes": found["text_bytes"],
        "shards": len(dataset.manifest["shards"]),
        "counted": sorted(found["counts"]),
    }


def stats(
    dataset: Dataset, by: str | None = None, of: str | None = None, top: int = 50
) -> list[dict[str, Any]]:
    """Rows of statistics, most frequent value first.

    Args:
        by: group by this column. One that the manifest counts costs no scan; a number gives its
            quantiles, `text` (or a list) the quantiles of its length in characters (or items);
            `host` is taken from `url`.
        of: quantiles of this column within each group (or over all rows without `by`).
        top: at most this many groups.
    """
    if by is None and of is None:
        return _all_counted(dataset)
    counts = dataset.manifest["totals"]["counts"]
    if by is not None and of is None:
        if by in counts:
            return _shares(by, counts[by], dataset.rows)[:top]
        if _measure(dataset, by) is not None:
            by, of = None, by
    return _scan(dataset, by, of, top)


def _all_counted(dataset: Dataset) -> list[dict[str, Any]]:
    return [
        {"column": column, "value": row.pop(column), **row}
        for column, values in dataset.manifest["totals"]["counts"].items()
        for row in _shares(column, values, dataset.rows)
    ]


def _shares(column: str, values: dict[str, int], rows: int) -> list[dict[str, Any]]:
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return [
        {column: value, "rows": count, "share": round(count / max(rows, 1), 6)}
        for value, count in ordered
    ]


def _scan(dataset: Dataset, by: str | None, of: str | None, top: int) -> list[dict[str, Any]]:
    from gristmill.query import connect, source

    selected, group = [], ""
    if by is not None:
        selected.append(f"{_grouping(dataset, by)} as {_quoted(by)}")
        group = f"group by 1 order by rows desc, 1 limit {int(top)}"
    selected.append("count(*) as rows")
    if by is not None:
        selected.append(f"round(count(*) / {max(dataset.rows, 1)}, 6) as share")
    if of is not None:
        measure = _measure(dataset, of)
        if measure is None:
            raise StoreError(
                f"{dataset.name}: column {of!r} is {_type(dataset, of)}, which has no quantiles; "
                "--of takes numbers, text and lists"
            )
        names = ", ".join(f"q[{i + 1}] as p{100 * p:g}" for i, p in enumerate(QUANTILES))
        marks = ", ".join(map(str, QUANTILES))
        selected += [
            f"count({measure}) as counted",
            f"min({measure}) as min",
            f"quantile_disc({measure}, [{marks}]) as q",
            f"max({measure}) as max",
            f"avg({measure}) as mean",
        ]
    sql = f"select {', '.join(selected)} from {source(dataset)} {group}"
    if of is not None:
        sql = f"select * exclude (q, max, mean), {names}, max, mean from ({sql})"
    result = connect(dataset.store).execute(sql)
    columns = [column[0] for column in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _grouping(dataset: Dataset, by: str) -> str:
    if by in {"host", "fqdn"} and by not in dataset.schema.names and "url" in dataset.schema.names:
        return HOST
    _type(dataset, by)
    return _quoted(by)


def _measure(dataset: Dataset, column: str) -> str | None:
    """SQL of the number that stands for a value, or None where there is none to measure."""
    import pyarrow as pa  # 0.1 s: not for what manifests answer

    if column in {"host", "fqdn"} and column not in dataset.schema.names:
        return None
    kind = _type(dataset, column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _quoted(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or column == "text":
        return f"length({_quoted(column)})"
    return None


def _type(dataset: Dataset, column: str) -> pa.DataType:
    schema = dataset.schema
    if column not in schema.names:
        known = [*schema.names, *(["host"] if "url" in schema.names else [])]
        raise StoreError(f"{dataset.name} has no column {column!r}{nearest(column, known)}")
    return schema.field(column).type


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
