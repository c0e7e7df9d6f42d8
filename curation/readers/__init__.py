"""Readers: files of any supported format as batches of one schema, in splits of the input alone.

In: a recipe's `from:`. Out: `plan_splits(source)`, then `read(split)` for batches of RAW.
Shown by: `python -m curation.readers 'crawl/*.warc.gz'`. Limit: see each format's file.
"""

from curation.readers.reading import Reading, read, read_record
from curation.readers.schema import MAX_RECORD_BYTES, RAW
from curation.readers.source import Source, check_declared, is_source, parse_source
from curation.readers.splits import SPLIT_BYTES, Split, mismatched, plan_splits

__all__ = [
    "MAX_RECORD_BYTES",
    "RAW",
    "SPLIT_BYTES",
    "Reading",
    "Source",
    "Split",
    "check_declared",
    "is_source",
    "mismatched",
    "parse_source",
    "plan_splits",
    "read",
    "read_record",
]
