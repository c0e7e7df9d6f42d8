"""Statistics of a dataset: totals and counts from its manifest, anything else by one scan.

In: a dataset, a column to group by, a column to measure. Out: rows ready to print.
Shown by: `gristmill stats web/clean --by language`.
Limit: quantiles are exact, so a measured column is held in memory (8 bytes a row).
"""

from __future__ import annotations

from typing import Any

from gristmill.columns import column_type, grouping, measure
from gristmill.errors import StoreError
from gristmill.store import Dataset

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


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
        by: group by this column, or by several ("topic,format"). One that the manifest counts costs
            no scan; a number gives its quantiles, `text` (or a list) the quantiles of its length in
            characters (or items); `host` is taken from `url`.
        of: quantiles of this column within each group (or over all rows without `by`).
        top: at most this many groups.
    """
    if by is None and of is None:
        return _all_counted(dataset)
    counts = dataset.manifest["totals"]["counts"]
    if by is not None and of is None:
        if by in counts:
            return _shares(by, counts[by], dataset.rows)[:top]
        if by in dataset.schema.names and measure(dataset, by) is not None:
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
    selected, group = [], ""
    if by is not None:
        groups = grouping(dataset, by)
        places = ", ".join(str(n + 1) for n in range(len(groups)))
        selected += [f"{sql} as {name}" for name, sql in groups.items()]
        group = f"group by {places} order by rows desc, {places} limit {int(top)}"
    selected.append("count(*) as rows")
    if by is not None:
        selected.append(f"round(count(*) / {max(dataset.rows, 1)}, 6) as share")
    if of is not None:
        number = measure(dataset, of)
        if number is None:
            raise StoreError(
                f"{dataset.name}: column {of!r} is {column_type(dataset, of)}, which has no "
                "quantiles; --quantiles takes numbers, text and lists"
            )
        names = ", ".join(f"q[{i + 1}] as p{100 * p:g}" for i, p in enumerate(QUANTILES))
        marks = ", ".join(map(str, QUANTILES))
        selected += [
            f"count({number}) as counted",
            f"min({number}) as min",
            f"quantile_disc({number}, [{marks}]) as q",
            f"max({number}) as max",
            f"avg({number}) as mean",
        ]
    from gristmill.query import source

    sql = f"select {', '.join(selected)} from {source(dataset)} {group}"
    if of is not None:
        sql = f"select * exclude (q, max, mean), {names}, max, mean from ({sql})"
    return rows_of(dataset, sql)


def rows_of(dataset: Dataset, sql: str) -> list[dict[str, Any]]:
    """Rows of a query of our own over a dataset's store."""
    from gristmill.query import connect

    result = connect(dataset.store).execute(sql)
    columns = [column[0] for column in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
