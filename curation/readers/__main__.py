"""Count what a source holds: records, bytes, errors, skipped types.

In: one pattern. Out: a few lines. Shown by: `python -m curation.readers 'crawl/*.warc.gz'`.
Limit: one process.
"""

from __future__ import annotations

import sys
from collections import Counter
from time import perf_counter

from curation.readers import mismatched, plan_splits, read
from gristmill.errors import GristmillError


def main(pattern: str) -> None:
    """Read everything under a pattern and print the counts."""
    splits, reports = plan_splits(pattern), []
    records, size, began = 0, 0, perf_counter()
    errors: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for split in splits:
        reading = read(split)
        for batch in reading:
            records += batch.num_rows
            size += batch["payload"].nbytes + batch["text"].nbytes
            errors.update(error or "none" for error in batch["error"].to_pylist())
        skipped.update(reading.report["skipped"])
        reports.append(reading.report)
    seconds = perf_counter() - began
    print(f"{len(splits)} splits, {records} records, {size / 1e6:.1f} MB in {seconds:.2f} s")
    print(f"errors: {dict(errors)}; skipped: {dict(skipped)}")
    if again := mismatched(splits, reports):
        print(f"files whose ranges do not meet: {[str(split) for _, split in again]}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m curation.readers PATTERN")
    try:
        main(sys.argv[1])
    except GristmillError as error:
        sys.exit(f"error: {error}")
