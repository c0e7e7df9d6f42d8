"""The same SQL through Gristmill's store and through bare DuckDB on the same files.

In: a store with a dataset. Out: rows. Shown by: `python -m bench.queries`.
Limit: both keep their connection from query to query, as a session does.
"""

from __future__ import annotations

from typing import Any

from bench.worker import Job

QUERIES = (
    "SELECT count(*), sum(length(text)), max(length(text)) FROM {table}",
    "SELECT regexp_extract(url, '//([^/:?#]*)', 1) AS host, count(*) AS n, avg(length(text)) "
    "FROM {table} GROUP BY 1 ORDER BY n DESC, host LIMIT 20",
    "SELECT id, url FROM {table} WHERE text LIKE '%window%' ORDER BY length(text) DESC, id LIMIT 5",
    "SELECT a.id FROM {table} a JOIN {table} b ON a.url = b.url AND a.id < b.id LIMIT 5",
)


def open_store(store: str, dataset: str) -> Job:
    """`Store(path).sql(...)`, every query once."""
    from gristmill.store import Store

    opened = Store(store)

    def run() -> dict[str, Any]:
        fetched = [opened.sql(query.format(table=f'"{dataset}"')).fetchall() for query in QUERIES]
        return {"rows": [len(rows) for rows in fetched], "first": str(fetched[0])}

    return Job(run=run, packages=["duckdb"])


def open_duckdb(files: list[str]) -> Job:
    """`duckdb.sql` over `read_parquet`."""
    import duckdb

    connection = duckdb.connect()
    table = f"read_parquet({files!r})"

    def run() -> dict[str, Any]:
        fetched = [connection.sql(query.format(table=table)).fetchall() for query in QUERIES]
        return {"rows": [len(rows) for rows in fetched], "first": str(fetched[0])}

    return Job(run=run, packages=["duckdb"])


def open_totals(store: str, dataset: str) -> Job:
    """Totals and the counted columns, from the manifest."""
    from gristmill.stats import stats, totals
    from gristmill.store import Store

    def run() -> dict[str, Any]:
        found = Store(store)[dataset]
        return {"totals": totals(found), "stats": stats(found)}

    return Job(run=run, packages=["duckdb"])
