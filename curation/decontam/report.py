"""The report of a decontamination: one row a benchmark item, and a warning for those not covered.

In: the items, their index, what they met. Out: an Arrow table; one line for people.
Shown by: `gristmill sql 'SELECT * FROM "web/final.report" WHERE NOT covered'`.
Limit: an item that is covered may still hide in a paraphrase: n-grams find copies only.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.decontam.match import Bools, Totals
from gristmill.text.ngrams import NgramIndex

SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("item", pa.int64()),
        ("item_id", pa.string()),
        ("words", pa.int64()),
        ("ngrams", pa.int64()),  # that are evidence; 1 for an item indexed whole
        ("covered", pa.bool_()),
        ("why_not", pa.string()),  # empty, too short, no evidence, common use
        ("documents", pa.int64()),  # that the recipe calls a match
        ("documents_sharing", pa.int64()),  # that share an n-gram at all
        ("max_coverage", pa.float64()),
    ]
)


def coverage_columns(index: NgramIndex, exempt: Bools | None = None) -> dict[str, pa.Array]:
    """Words, usable n-grams, and whether and why not each item can be found."""
    kept = index.item_kept.astype(np.int64)
    gone = np.zeros_like(kept)
    if exempt is not None and exempt.any():
        lost = np.repeat(exempt, np.diff(index.postings))
        gone = np.bincount(index.posting_item[lost], minlength=len(kept))
    words, left = index.item_words, kept - gone
    reasons = np.full(len(kept), None, object)
    reasons[left == 0] = "too short"
    reasons[(left == 0) & (words == 0)] = "empty"
    reasons[(left == 0) & (index.item_dropped > 0)] = "no evidence"
    reasons[(left == 0) & (gone > 0)] = "common use"
    return {
        "words": pa.array(words),
        "ngrams": pa.array(left),
        "covered": pa.array(left > 0),
        "why_not": pa.array(reasons, pa.string()),
    }


def report_table(
    items: pa.Table, index: NgramIndex, totals: Totals, exempt: Bools | None = None
) -> pa.Table:
    """SCHEMA, one row an item, in the order of `items`."""
    columns = {
        **{name: items[name] for name in ("benchmark", "item", "item_id")},
        **coverage_columns(index, exempt),
        "documents": pa.array(totals.matched),
        "documents_sharing": pa.array(totals.sharing),
        "max_coverage": pa.array(totals.best),
    }
    return pa.table([columns[name] for name in SCHEMA.names], SCHEMA.names).cast(SCHEMA)


def uncovered_note(report: pa.Table, min_words: int) -> str | None:
    """A warning that counts the items that no text can match, by benchmark and cause."""
    missing = report.filter(pc.invert(report["covered"]))
    if not len(missing):
        return None
    causes = Counter(missing["why_not"].to_pylist())
    names = Counter(missing["benchmark"].to_pylist())
    worst = ", ".join(f"{name} {count:,}" for name, count in names.most_common(5))
    told = ", ".join(f"{count:,} {cause}" for cause, count in causes.most_common())
    return (
        f"{len(missing):,} of {len(report):,} benchmark items are not covered ({told}; an item "
        f"needs {min_words} words): {worst}{', ...' if len(names) > 5 else ''}; see `.report`"
    )
