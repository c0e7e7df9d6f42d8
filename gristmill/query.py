"""DuckDB over the store: free SELECTs with a view for each dataset, and nothing but SELECTs.

In: a store and SQL. Out: a DuckDB relation, rows, or an Arrow table.
Shown by: `gristmill sql 'select language, count(*) from "web/clean" group by 1'`.
Limit: the whole store is readable from SQL, whichever dataset a query starts from.

Views: "web/clean" (latest), "web/clean@<version or tag>", side outputs "web/clean.ledger" and
"web/clean@<version>.ledger"; `this` and "this.ledger" for `Dataset.sql`. Only those that a query
names are made, so a store may hold thousands.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from gristmill.errors import StoreError, nearest
from gristmill.selects import QueryError, tables_of_select
from gristmill.store import Dataset, Store

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Catalog", "QueryError", "connect", "literal", "quoted", "source"]

_UNQUOTED = re.compile(r"\b(?:from|join|table|describe|summarize)\s+([\w.\-]+/[\w./@\-]+)", re.I)


class Catalog:
    """The datasets of a store as views; each query takes about 1 ms to set up."""

    def __init__(self, store: Store, this: Dataset | None = None) -> None:
        self.store = store
        self.this = this

    def relation(self, sql: str, params: Sequence[Any] | None = None) -> duckdb.DuckDBPyRelation:
        """A lazy relation: `.fetchall()`, `.df()`, `.to_arrow_table()`, `.show()`.

        Raises QueryError for anything but one SELECT (or FROM, WITH, VALUES, DESCRIBE, SUMMARIZE,
        SHOW, EXPLAIN), for unknown datasets and for files outside the store.
        """
        connection = self._connection(sql)
        try:
            return connection.sql(sql, params=list(params) if params else None)
        except duckdb.Error as error:
            raise self._explained(error, sql) from None

    def stream(
        self, sql: str, params: Sequence[Any] | None = None
    ) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Column names, and the rows as they come: memory does not grow with the result."""
        connection = self._connection(sql)
        try:
            connection.execute(sql, list(params) if params else None)
        except duckdb.Error as error:
            raise self._explained(error, sql) from None
        columns = [column[0] for column in connection.description or []]
        return columns, self._fetch(connection, sql)

    def _fetch(self, connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            while rows := connection.fetchmany(1024):
                yield from rows
        except duckdb.Error as error:
            raise self._explained(error, sql) from None

    def query(self, sql: str, params: Sequence[Any] | None = None) -> tuple[list[str], list[Any]]:
        """Column names and all rows as tuples."""
        columns, rows = self.stream(sql, params)
        return columns, list(rows)

    def rows(self, sql: str, params: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """All rows as dictionaries."""
        columns, rows = self.query(sql, params)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def arrow(self, sql: str, params: Sequence[Any] | None = None) -> pa.Table:
        """All rows as an Arrow table."""
        relation = self.relation(sql, params)
        try:
            return relation.to_arrow_table()
        except duckdb.Error as error:
            raise self._explained(error, sql) from None

    def _connection(self, sql: str) -> duckdb.DuckDBPyConnection:
        """A connection that has the views of `sql`, which is one SELECT.

        Its own for each query: DuckDB 2.0 runs nothing else beside a half-read result.
        """
        connection = connect(self.store)
        try:
            tables, everything = tables_of_select(connection, sql)
        except duckdb.Error as error:
            raise self._explained(error, sql) from None
        self._make_views(connection, tables, everything)
        return connection

    def _make_views(
        self, connection: duckdb.DuckDBPyConnection, tables: Sequence[str], everything: bool
    ) -> None:
        """A temporary view for each dataset named in the query; for all of them where it asks."""
        found = {name: dataset for name in tables if (dataset := self._dataset(name))}
        if everything:
            every = {name: self.store[name] for name in self.store.names()}
            found |= {name: dataset for name, dataset in every.items() if not dataset.is_folder}
        folded: dict[str, str] = {}
        for name, dataset in found.items():
            if (other := folded.setdefault(name.lower(), name)) != name:
                raise QueryError(
                    f"datasets {other!r} and {name!r} differ only in case, which SQL cannot tell "
                    "apart; ask for one at a time"
                )
            rows = source(dataset.must_have_rows())
            try:
                connection.execute(f"create temp view {quoted(name)} as from {rows}")
            except duckdb.Error as error:
                raise QueryError(
                    f"{dataset.ref} cannot be read ({error}); `gristmill verify {dataset.name}` "
                    "tells what is wrong with it"
                ) from None

    def _dataset(self, name: str) -> Dataset | None:
        """The dataset that a view's name stands for; None for other tables (a CTE's name)."""
        head, _, rest = name.partition("@")
        if head == "this" or head.startswith("this."):
            if self.this is None:
                return None
            return self.this if head == "this" else self.this.output(head.removeprefix("this"))
        try:
            if not (self.store.path / head).is_dir() or not self.store.versions(head):
                return None
        except (StoreError, ValueError):
            return None  # no dataset's name
        try:
            return self.store[name]
        except StoreError:
            version, dot, suffix = rest.rpartition(".")
            if not dot:
                raise
            return self.store[f"{head}@{version}"].output(dot + suffix)

    def _explained(self, error: duckdb.Error, sql: str) -> QueryError:
        message = str(error).strip()
        if missing := re.match(r"Catalog Error: Table with name (.+?) does not exist", message):
            name = missing[1].strip('"')
            if name == "this":
                return QueryError("`this` is known in Dataset.sql() only; name the dataset")
            known = nearest(name, self.store.names())
            return QueryError(f"no dataset or table {name!r} in {self.store.path}{known}")
        if "Parser Error" in message and (found := _UNQUOTED.search(sql)):
            return QueryError(
                f'names with a slash need double quotes in SQL: write "{found[1]}" for {found[1]}'
            )
        if "disabled by configuration" in message:
            said = message.splitlines()[0].removeprefix("Permission Error: ").partition(" - ")[0]
            return QueryError(
                f"{said}: SQL reads the store {self.store.path} and nothing outside it; "
                "`gristmill import` brings files in"
            )
        return QueryError(message)


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """A connection that reads the store alone, for SQL of our own: it may make temporary tables."""
    return _locked(str(store.path), os.getpid()).cursor()


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | Path) -> str:
    """An SQL string."""
    return "'" + str(text).replace("'", "''") + "'"


def source(dataset: Dataset, files: Sequence[Path] | None = None, options: str = "") -> str:
    """`read_parquet([...])` over the shards of one version, as its manifest lists them.

    Never a glob: `**` descends into hidden directories. No hive partitioning: a store below a
    directory such as `run=3` would grow a column `run`.
    """
    listed = ", ".join(literal(file) for file in (dataset.files if files is None else files))
    return f"read_parquet([{listed}], hive_partitioning=false{options})"


@lru_cache(maxsize=8)
def _locked(store: str, pid: int) -> duckdb.DuckDBPyConnection:
    """One in-memory database a store and process, which reads below `store`; its settings are shut.

    Queries are cursors of it with temporary views of their own: opening a database takes ten times
    as long as a cursor and a view. `pid`: a forked child must not use its parent's threads.
    """
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_persistent_secrets": False,
            "python_enable_replacements": False,  # `from df` must not find the caller's variables
            "temp_directory": str(Path(tempfile.gettempdir()) / f"gristmill-duckdb-{pid}"),
        }
    )
    connection.execute(f"set allowed_directories = [{literal(store)}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection
