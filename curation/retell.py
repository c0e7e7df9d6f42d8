"""Retell: the text of a record that was dropped, read again by its locator.

In: the build of a `curate` step and a record's locator. Out: the text as it was when it was
decided.
Shown by: `gristmill why web/final URL --text`.
Limit: the input files must still lie where the build found them, with the same content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from curation.curate import Curate
from curation.readers import read_record
from curation.segments import cut, open_ops, refine
from gristmill.errors import GristmillError


def text_of(build: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The text that the step saw last.

    Args:
        build: the build record of a `curate` step.
        record: its ledger row: file, offset, length, payload_sha1.
    Raises: GristmillError where the input is gone or another now.
    """
    config = {key: value for key, value in build["config"].items() if key != "limit"}
    step = Curate.model_validate(config)
    source = step.reads()
    place = f"{record['file']}:{record['offset']}"
    if source is None:
        raise GristmillError(
            f"{place} came from dataset {config['from']!r}; ask `gristmill why` of that one"
        )
    raw = read_record(
        source, record["file"], record["offset"], record["length"], record["payload_sha1"]
    )
    if raw is None:
        raise GristmillError(
            f"no record at {place} under {', '.join(source.patterns)}; "
            "were the input files moved or changed since the run?"
        )
    done = refine(raw, cut(open_ops(step.ops)))
    seen = pa.concat_tables([done.kept, done.rejected])
    if seen.num_rows == 0:
        raise GristmillError(f"{place} has no text: {done.ledger['reason'][0].as_py()}")
    return str(seen["text"][0].as_py())
