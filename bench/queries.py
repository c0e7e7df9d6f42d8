"""Claim: SQL costs what bare DuckDB costs, and totals and `stats` read manifests only.

In: the text of the shared crawl, several times, imported into a store. Out: `.bench/results/
queries.json`. Shown by: `python -m bench.queries --size full`.
Limit: "no scan" is shown by hiding the shards and asking again: the answer must be the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import corpora
from bench.harness import BENCH, Claim, Row, Side, interleave, main, ratio_row

DATASET = "docs/all"


def _store(size: str) -> tuple[Path, list[Path]]:
    """A store with the documents in it (made once), and its shards."""
    from gristmill.progress import Progress
    from gristmill.store import Store
    from pipelines.run import run_recipe

    copies = 16 if size == "full" else 1
    parquet = corpora.parquet(corpora.more(corpora.web(), copies))
    place = BENCH / "stores" / f"queries-{copies}"
    with Progress(quiet=True) as quiet:
        run_recipe(
            Path(__file__).parent / "recipes" / "dedup.yaml",
            store=place,
            set={"documents": str(parquet)},
            only=DATASET,
            workers=1,
            progress=quiet,
        )
    return place, Store(place)[DATASET].files


def _answer(store: Path) -> dict[str, Any]:
    from gristmill.stats import stats, totals
    from gristmill.store import Store

    found = Store(store)[DATASET]
    return {"totals": totals(found), "stats": stats(found), "by": stats(found, by="source")}


def _without_shards(store: Path, shards: list[Path]) -> bool:
    """Are totals and statistics the same when no shard can be read?"""
    before = _answer(store)
    hidden = [(shard, shard.with_suffix(".hidden")) for shard in shards]
    try:
        for shard, away in hidden:
            shard.rename(away)
        return _answer(store) == before
    finally:
        for shard, away in hidden:
            away.rename(shard)


def claim(size: str, rounds: int) -> Claim:
    """Four queries a run: a scan, a group, a text search, a self-join."""
    store, shards = _store(size)
    side = "bench.sides.queries"
    options = {"store": str(store), "dataset": DATASET}
    files = {"files": [str(shard) for shard in shards]}
    seen = interleave(
        [
            Side("gristmill", f"{side}:open_store", options),
            Side("duckdb", f"{side}:open_duckdb", files),
            Side("totals and stats", f"{side}:open_totals", options),
        ],
        rounds,
    )
    cost = ratio_row("SQL, time / bare DuckDB", seen["gristmill"], seen["duckdb"], 1.2)
    cost.at_most = True
    same = _without_shards(store, shards)
    rows = [
        cost,
        Row(
            "totals and stats with the shards hidden",
            float(same),
            float(same),
            float(same),
            "(1: same answer)",
            1.0,
            detail=f"{1000 * seen['totals and stats'].median:.1f} ms",
        ),
    ]
    if seen["gristmill"].result["first"] != seen["duckdb"].result["first"]:
        raise SystemExit("the store and DuckDB disagree on the same files")
    described = {
        "name": "text of the crawl",
        "documents": seen["totals and stats"].result["totals"]["rows"],
    }
    return Claim("queries", "SQL and statistics", size, described, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
