"""What is exported: the sequences of a version, and what is known of them.

In: a token dataset or a mixture. Out: a `Source`. Shown by: `gristmill export mix/pretrain --to
olmo --out mix-olmo`. Limit: rows exist in mixtures only; a token dataset has documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gristmill.errors import GristmillError
from gristmill.mapped import open_tokens
from gristmill.store import Dataset
from mixtures.export.sequences import Sequences, documents_of, pieces_of, rows_of
from mixtures.plan import open_plan

WHAT = ("rows", "documents")


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported: sequences, and what is known of them."""

    stream: Iterable[Sequences]
    what: str
    dtype: np.dtype[Any]
    masked: bool
    first_silent: bool  # the first token of each piece never bears loss
    total: int  # sequences, for the progress bar
    tokenizer: Dataset | None  # None where it is not in the store
    tokenizer_ref: str
    about: dict[str, Any]


def source_of(dataset: Dataset, what: str | None) -> Source:
    """The sequences of a version, or an error that says what it can be exported as."""
    if what is not None and what not in WHAT:
        raise GristmillError(f"--what {what!r}: it is {' or '.join(WHAT)}")
    kind = dataset.manifest["kind"]
    if kind == "packed":
        return _of_plan(dataset, what or "rows")
    if kind != "tokens":
        raise GristmillError(
            f"{dataset.ref} is a dataset of kind {kind!r}; token formats take what `use: tokenize` "
            "or `use: mixture` made. --to jsonl writes its rows as they are"
        )
    if what == "rows":
        raise GristmillError(
            f"{dataset.ref} has documents and no rows: `use: mixture` packs documents into rows; "
            "export the mixture, or leave --what out"
        )
    masked, dtype = "loss_mask" in dataset.schema.names, open_tokens(dataset).dtype
    stream, tokenizer, rows = documents_of(dataset), _tokenizer_of(dataset), dataset.rows
    ref = tokenizer.ref if tokenizer is not None else "unknown"
    about = {"documents": rows}
    return Source(stream, "documents", dtype, masked, False, rows, tokenizer, ref, about)


def _of_plan(dataset: Dataset, what: str) -> Source:
    store = dataset.store
    plan = open_plan(store, dataset.ref)
    spec, rows = plan.spec, rows_of(plan)
    dtype = np.dtype(np.uint16 if spec.vocab_size <= 1 << 16 else np.uint32)
    about = {"mixture": plan.mixture, "attention": spec.attention, "pad": spec.pad}
    tokenizer = store[spec.tokenizer] if spec.tokenizer in store else None
    if what == "rows":
        return Source(rows, what, dtype, True, True, len(plan), tokenizer, spec.tokenizer, about)
    pieces = sum(source.pieces for source in spec.sources)
    return Source(
        pieces_of(rows), what, dtype, True, True, pieces, tokenizer, spec.tokenizer, about
    )


def _tokenizer_of(dataset: Dataset) -> Dataset | None:
    """What the step that made the tokens published; None for tokens that were imported."""
    name = f"{dataset.name}.tokenizer"
    for build in reversed(dataset.store.builds_of(dataset)):
        if name in build["outputs"]:
            return Dataset(dataset.store, name, build["outputs"][name])
    return None
