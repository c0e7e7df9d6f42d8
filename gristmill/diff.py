"""Compare two versions: which rows came, went or changed, and what was asked differently.

In: two datasets. Out: a Diff whose counts reconcile: rows(b) = rows(a) - removed + added.
Of models: which files differ.
Shown by: `gristmill diff web/clean@1f2e web/clean@latest`.
Limit: rows are matched by id; a dataset without ids has rows added and removed, none changed.

Shards with equal digests are left out before any row is read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from gristmill.asked import asked_differently
from gristmill.file_sets import BESIDE
from gristmill.query import connect, literal, quoted, source
from gristmill.store import Dataset

EXAMPLES = 5


@dataclass(slots=True)
class Diff:
    """What differs between versions a and b."""

    a: str
    b: str
    rows_a: int
    rows_b: int
    shards_shared: int
    added: int = 0
    removed: int = 0
    changed: int = 0  # the id is in both, the row differs
    changed_text: int = 0  # of these: the text differs
    schema: list[dict[str, Any]] = field(default_factory=list)  # column, a, b
    asked: list[dict[str, Any]] = field(default_factory=list)  # step, key, a, b: of builds
    examples: list[dict[str, Any]] = field(default_factory=list)  # change, id, url, columns
    files: list[dict[str, Any]] = field(default_factory=list)  # of models: file, change, beside

    @property
    def same(self) -> bool:
        """Equal rows in equal order under one schema (the builds may still differ)."""
        return self.a.partition("@")[2] == self.b.partition("@")[2]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "same": self.same}


def diff(a: Dataset, b: Dataset, examples: int = EXAMPLES) -> Diff:
    """Compare version `a` (before) with `b` (after); they may be of different datasets."""
    shared, files_a, files_b = _unshared(a, b)
    found = Diff(a.ref, b.ref, a.rows, b.rows, shared)
    found.schema = _schema_changes(a, b)
    found.asked = asked_differently(a, b)
    if a.is_folder or b.is_folder:
        found.files = _file_changes(a, b)
    elif files_a or files_b:
        _compare_rows(found, a, b, files_a, files_b, examples)
    return found


def _unshared(a: Dataset, b: Dataset) -> tuple[int, list[Path], list[Path]]:
    """How many shards both have, and the files of the others."""
    digests = [Counter(shard["digest"] for shard in d.manifest["shards"]) for d in (a, b)]
    shared = digests[0] & digests[1]
    rest: list[list[Path]] = []
    for dataset in (a, b):
        left, files = Counter(shared), []
        for shard in dataset.manifest["shards"]:
            if left[shard["digest"]] > 0:
                left[shard["digest"]] -= 1
            else:
                files.append(dataset.path / shard["file"])
        rest.append(files)
    return shared.total(), rest[0], rest[1]


def _file_changes(a: Dataset, b: Dataset) -> list[dict[str, Any]]:
    """Files of models that differ, by name."""
    before, after = ({one["file"]: one for one in d.manifest["shards"]} for d in (a, b))
    changes = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old and new and old["digest"] == new["digest"]:
            continue
        change = "changed" if old and new else "removed" if old else "added"
        sizes = {"bytes_a": old["bytes"] if old else None, "bytes_b": new["bytes"] if new else None}
        beside = name.startswith(f"{BESIDE}/")  # of no account for the version
        changes.append({"file": name, "change": change, "beside": beside, **sizes})
    return changes


def _schema_changes(a: Dataset, b: Dataset) -> list[dict[str, Any]]:
    before, after = (dict(map(tuple, d.manifest["schema"])) for d in (a, b))
    return [
        {"column": name, "a": before.get(name), "b": after.get(name)}
        for name in [*before, *(n for n in after if n not in before)]
        if before.get(name) != after.get(name)
    ]


def _compare_rows(
    found: Diff, a: Dataset, b: Dataset, files_a: list[Path], files_b: list[Path], examples: int
) -> None:
    schemas = [dict(map(tuple, d.manifest["schema"])) for d in (a, b)]
    common = [n for n, kind in schemas[0].items() if schemas[1].get(n) == kind]
    if not common:
        found.removed, found.added = a.rows, b.rows
        return
    connection = connect(a.store) if a.store == b.store else duckdb.connect()
    digest = "text_digest" if "text_digest" in common else "text" if "text" in common else None
    hashed = [n for n in common if not (digest == "text_digest" and n in {"text", "text_digest"})]
    text = "null" if digest is None else f"hash({quoted(digest)})"
    row = f"hash({', '.join(map(quoted, hashed)) or '0'})"
    key = "id" if "id" in common else f"concat({row}, ' ', {text})"
    sides = " union all ".join(
        f"select {key} as id, {text} as t, {row} as h, {sign} as s from {source(d, files)}"
        for d, files, sign in ((a, files_a, -1), (b, files_b, 1))
        if files
    )
    # A multiset difference: ids may repeat, and equal rows cancel wherever they lie.
    connection.execute(
        f"""create temp table delta as
        with cells as (select id, t, h, sum(s) as d from ({sides}) group by all having d <> 0),
        texts as (select id, t, sum(d) as d from cells group by all),
        by_text as (select id, least(sum(greatest(d, 0)), sum(greatest(-d, 0))) as changed_text
                    from texts group by id),
        by_row as (select id, sum(greatest(d, 0)) as plus, sum(greatest(-d, 0)) as minus
                   from cells group by id)
        select by_row.id, plus - least(plus, minus) as added, minus - least(plus, minus) as removed,
               least(plus, minus) as changed, least(changed_text, plus, minus) as changed_text
        from by_row join by_text on by_row.id is not distinct from by_text.id"""
    )
    sums = "coalesce(sum(added), 0), coalesce(sum(removed), 0), coalesce(sum(changed), 0)"
    ((added, removed, changed, texts),) = connection.execute(
        f"select {sums}, coalesce(sum(changed_text), 0) from delta"
    ).fetchall()
    found.added, found.removed, found.changed = int(added), int(removed), int(changed)
    found.changed_text = int(texts) if digest is not None else 0
    if "id" in common:
        found.examples = _examples(connection, a, b, files_a, files_b, common, examples)


def _examples(
    connection: duckdb.DuckDBPyConnection,
    a: Dataset,
    b: Dataset,
    files_a: list[Path],
    files_b: list[Path],
    common: list[str],
    limit: int,
) -> list[dict[str, Any]]:
    """A few ids of each change, and for changed rows which columns differ."""
    shown = []
    for change in ("added", "removed", "changed"):
        ids = [
            str(found[0])
            for found in connection.execute(
                f"select id from delta where {change} > 0 and id is not null "
                f"order by md5(id), id limit {int(limit)}"
            ).fetchall()
        ]
        before = _rows_of(connection, a, files_a, ids, common)
        after = _rows_of(connection, b, files_b, ids, common)
        for id_ in ids:
            old, new = before.get(id_, {}), after.get(id_, {})
            differ = [n for n in common if change == "changed" and old.get(n) != new.get(n)]
            url = new.get("url", old.get("url"))
            shown.append({"change": change, "id": id_, "url": url, "columns": differ})
    return shown


def _rows_of(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    files: list[Path],
    ids: list[str],
    columns: list[str],
) -> dict[str, dict[str, Any]]:
    if not ids or not files:
        return {}
    names = ", ".join(map(quoted, columns))
    wanted = ", ".join(map(literal, ids))
    rows = connection.execute(
        f"select {names} from {source(dataset, files)} where id in ({wanted}) order by all"
    ).fetchall()
    return {str(row[columns.index("id")]): dict(zip(columns, row, strict=True)) for row in rows}
