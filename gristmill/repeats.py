"""Duplicate rates: how much of a dataset is there more than once, and what deduplication removed.

In: a dataset, maybe columns to group by. Out: rows ready to print.
Shown by: `gristmill stats web/clean --duplicates --by language`.
Limit: texts that are equal to the byte; near-duplicates are the ledger's matter.
"""

from __future__ import annotations

from typing import Any

from gristmill.columns import grouping
from gristmill.errors import StoreError
from gristmill.lineage import Made, ledger_of, lineage
from gristmill.stats import rows_of
from gristmill.store import Dataset

_PARTNER = "partner_id"  # a ledger that names partners is a deduplication's


def repeats(dataset: Dataset, by: str | None = None, top: int = 50) -> list[dict[str, Any]]:
    """Rows, different texts, `duplicates` and `repeated`, over all rows or in each group.

    `duplicates` are copies beyond the first of a text in the group; `repeated` are rows whose text
    stands elsewhere in the dataset too, in this group or in another. Rows without a digest count
    as rows only. Texts without the column `text_digest` are digested here.
    """
    from gristmill.query import source

    names = grouping(dataset, by)
    selected = [f"{sql} as {name}" for name, sql in names.items()]
    inner = ", ".join([*selected, f"{_digest(dataset)} as _digest"])
    keys, groups = ", ".join([*names, "_digest"]), ", ".join(names)
    everywhere = "sum(_rows) over (partition by _digest)" if names else "_rows"
    counted = (
        f"select {keys}, count(*) as _rows from (select {inner} from {source(dataset)}) "
        f"group by {keys}"
    )
    sql = (
        f"select {groups}{', ' if groups else ''} cast(sum(_rows) as bigint) as rows, "
        "count(_digest) as texts, "
        "cast(sum(_rows - 1) filter (_digest is not null) as bigint) as duplicates, "
        "cast(sum(_rows) filter (_digest is not null and _everywhere > 1) as bigint) as repeated "
        f"from (select *, {everywhere} as _everywhere from ({counted}))"
    )
    if names:
        sql += f" group by {groups} order by rows desc, {groups} limit {int(top)}"
    found = rows_of(dataset, sql)
    for row in found:
        row |= {name: row[name] or 0 for name in ("rows", "duplicates", "repeated")}
        rows = max(row["rows"], 1)
        row["duplicate_share"] = round(row["duplicates"] / rows, 6)
        row["repeated_share"] = round(row["repeated"] / rows, 6)
    return found


def _digest(dataset: Dataset) -> str:
    names = dataset.schema.names
    if "text_digest" in names:
        return "text_digest"
    if "text" in names:
        return "md5(text)"
    raise StoreError(
        f"{dataset.name} has neither text_digest nor text, so no text can be found twice; ask the "
        "documents that it was made from"
    )


def removed(dataset: Dataset) -> list[dict[str, Any]]:
    """What each deduplication before a dataset (or of it) removed: step, rows, dropped, share."""
    found = []
    for made in lineage(dataset):
        ledger = ledger_of(dataset, made)
        if ledger is not None and _PARTNER in {name for name, _ in ledger.manifest["schema"]}:
            found.append(_removed(made, ledger))
    return found


def _removed(made: Made, ledger: Dataset) -> dict[str, Any]:
    states = ledger.manifest["totals"]["counts"].get("state")
    if states is None:
        from gristmill.query import source

        sql = f"select state, count(*) as n from {source(ledger)} group by 1"
        states = {row["state"]: row["n"] for row in rows_of(ledger, sql)}
    dropped = int(states.get("dropped", 0))
    return {
        "step": made.ref,
        "use": made.use,
        "rows": ledger.rows,
        "dropped": dropped,
        "share": round(dropped / max(ledger.rows, 1), 6),
    }
