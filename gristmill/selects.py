"""Admit one SELECT and nothing else, by DuckDB's own syntax tree, and say which tables it names.

In: SQL from anyone. Out: names of tables, or QueryError. Shown by: `gristmill sql 'drop table x'`.
Limit: what DuckDB cannot write as a tree (PIVOT without its values) is refused, though harmless.

The lock-down of files and settings is the connection's (query.py); this keeps writes out, because a
locked connection may still COPY into the directories that it may read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from gristmill.errors import GristmillError

# DuckDB 2.0 admits COPY and INSERT inside a CTE of what it calls a SELECT statement, and runs them:
# the statement's type is not enough, so every query node of the tree must be one of these.
_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_RUNS_SQL = {"query", "json_execute_serialized_sql"}  # functions that run SQL held in a string
_EXPLAIN = re.compile(r"\s*explain\b\s*(analyze\b\s*)?", re.IGNORECASE)
_OPTIONS = re.compile(r"\([^()]*\)\s*")
_RULE = (
    "only SELECT statements run over the store (FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW and "
    "EXPLAIN too): datasets change by `gristmill run` alone"
)


class QueryError(GristmillError):
    """A query that is refused, or that DuckDB cannot run."""


def tables_of_select(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], bool]:
    """Unqualified names of the tables in `sql` (of CTEs too), and whether it lists all tables.

    Raises QueryError unless `sql` is one SELECT (or EXPLAIN of one), duckdb.Error where it is not
    SQL at all.
    """
    tables: dict[str, None] = {}
    everything = False
    for node in _walk(_tree_of_select(connection, sql)):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _NODES:
            verb = kind.removesuffix("_NODE").removesuffix("_QUERY")
            raise QueryError(f"the query holds {verb}; {_RULE}")
        function = str(node.get("function_name", "")).lower()
        if function in _RUNS_SQL:
            raise QueryError(f"{function}() runs SQL from a string; write that SQL out instead")
        if kind == "BASE_TABLE":
            path = (node.get("qualified_name") or {}).get("path") or [node["table_name"]]
            everything |= path[0].lower() in {"information_schema", "pg_catalog"}
            if len(path) == 1:
                tables[path[0]] = None
        everything |= kind == "SHOW_REF" and node.get("show_type") == "SHOW_SPECIAL"
    return list(tables), everything


def _tree_of_select(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"one statement at a time, got {len(statements)}; run them one by one")
    kind = statements[0].type.name
    tree = None
    if kind == "SELECT":
        tree = _tree(connection, sql)
    elif kind == "EXPLAIN":  # EXPLAIN ANALYZE runs what it explains
        inner = _EXPLAIN.sub("", sql, count=1)
        tree = _tree(connection, inner) or _tree(connection, _OPTIONS.sub("", inner, count=1))
    elif kind == "MULTI":  # the only one met: PIVOT that first looks its values up
        raise QueryError("PIVOT needs its values spelled out: pivot x on column in ('a', 'b')")
    if tree is None:
        raise QueryError(f"this is a {kind} statement; {_RULE}")
    return tree


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any] | None:
    """The syntax tree of one SELECT; None for anything else."""
    ((found,),) = connection.execute("select json_serialize_sql($1)", [sql]).fetchall()
    tree: dict[str, Any] = json.loads(found)
    return None if tree["error"] or len(tree["statements"]) != 1 else tree


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON tree."""
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
