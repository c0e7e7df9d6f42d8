"""The plan of a mixture as JSON, which mixtures.plan.spec reads.

In: sources with their rows, segments, injected positions. Out: a mapping for the output `.plan`.
Shown by: `gristmill sql 'select spec from "mix/pretrain.plan"'`.
Limit: format 1; what each entry means stands in mixtures/plan/spec.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixtures.blend.inject import I64, rows_in_spans
from mixtures.blend.resolve import Source
from mixtures.blend.segments import Segment
from mixtures.plan.spec import FORMAT


def plan_json(
    *,
    name: str,
    seed: int,
    tokenizer: tuple[str, int, int],
    attention: str,
    sources: Sequence[Source],
    records: Sequence[Mapping[str, Any]],
    segments: Sequence[Segment],
    injected: I64 | None,
) -> dict[str, Any]:
    """tokenizer: reference, size of its vocabulary, padding. injected: sorted rows of the last
    source, None without one. records: rows and pieces that each source's task wrote.
    """
    counts = np.array([segment.counts for segment in segments])
    if injected is not None:
        counts[:, -1] = rows_in_spans(injected, [segment.span for segment in segments])
    return {
        "format": FORMAT,
        "name": name,
        "seed": seed,
        "tokenizer": tokenizer[0],
        "vocab_size": tokenizer[1],
        "pad": tokenizer[2],
        "attention": attention,
        "sources": [
            {
                "name": source.name,
                "ref": source.ref,
                "documents": source.documents,
                "tokens": source.tokens,
                "rows": record["rows"],
                "pieces": record["pieces"],
            }
            for source, record in zip(sources, records, strict=True)
        ],
        "segments": [
            {
                "rows": segment.span.rows,
                "seq": segment.span.seq,
                "batch": segment.span.batch,
                "block": list(segment.block),
                "counts": count.tolist(),
            }
            for segment, count in zip(segments, counts, strict=True)
        ],
        "injected": {
            "source": None if injected is None else len(sources) - 1,
            "positions": [] if injected is None else injected.tolist(),
        },
    }
