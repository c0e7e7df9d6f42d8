"""Checks of a mixture before it is packed: tokenizers, vocabulary, shared documents, epochs.

In: sources and what they read. Out: errors, or notes for the user. Shown by: a recipe that mixes a
source with itself. Limit: documents are the same where their ids are; copies under other ids are
for `exact_dedup` and `minhash_dedup`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.errors import RecipeError, StoreError
from gristmill.mapped import open_tokens
from gristmill.query import connect, literal, quoted, source
from gristmill.store import Dataset, Store
from mixtures.blend.selection import check_where, view
from mixtures.laws.repetition import REFUSE_EPOCHS, TOKEN_DECAY, WARN_EPOCHS
from mixtures.tokens.chat import TEMPLATE
from mixtures.tokens.tokenizers import tokenizer_files

REPETITION = "Muennighoff et al. 2023, arXiv 2305.16264"


def one_tokenizer(datasets: Sequence[Dataset]) -> Dataset:
    """The tokenizer of all datasets; StoreError where one has none, or two differ."""
    found: list[tuple[Dataset, Dataset]] = []
    for dataset in datasets:
        try:
            found.append((dataset, dataset.output(".tokenizer")))
        except StoreError:
            raise StoreError(
                f"{dataset.ref} has no tokenizer beside it, so nobody knows what its numbers mean; "
                "make it with `use: tokenize`"
            ) from None
    first, tokenizer = found[0]
    for dataset, other in found[1:]:
        if other.version != tokenizer.version and not same_but_template(tokenizer, other):
            raise StoreError(
                f"two tokenizers in one mixture: {first.ref} was tokenised with {tokenizer.ref}, "
                f"{dataset.ref} with {other.ref}; tokenise one of them again with the other's"
            )
        if TEMPLATE in tokenizer_files(other):
            first, tokenizer = dataset, other
    return tokenizer


def same_but_template(one: Dataset, other: Dataset) -> bool:
    """Whether two tokenizers are one, of which chats needed a template that documents did not."""
    files, others = tokenizer_files(one), tokenizer_files(other)
    templates = {found.pop(TEMPLATE, None) for found in (files, others)}
    return files == others and None in templates


def check_vocabulary(dataset: Dataset, vocab_size: int) -> int:
    """Read all tokens; StoreError names the first document with one outside the vocabulary."""
    tokens = open_tokens(dataset)
    largest = 0
    for batch in dataset.scan(["id", "tokens"], 1024):
        column = batch["tokens"]
        bounds = np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: len(column) + 1]
        data = column.buffers()[2]
        if data is None or bounds[0] == bounds[-1]:
            continue
        values = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]].view(tokens.dtype)
        largest = max(largest, int(values.max()))
        if largest >= vocab_size:
            at = int(np.argmax(values >= vocab_size)) * tokens.dtype.itemsize + int(bounds[0])
            row = int(np.searchsorted(bounds, at, "right")) - 1
            raise StoreError(
                f"{dataset.ref}: document {batch['id'][row].as_py()!r} holds token "
                f"{int(values[values >= vocab_size][0]):,}; its tokenizer has {vocab_size:,} "
                "(0 up to one less): it was made with another tokenizer; tokenise it again"
            )
    return largest


def shared_documents(
    store: Store, declared: Sequence[tuple[str, str, str | None]]
) -> list[dict[str, Any]]:
    """Ids that several declared sources (name, ref, where) hold: how many, and the first one.

    An id in three sources counts for the first and the last of them.
    """
    parts = " union all ".join(
        f"select id, {n} as place from ({_ids(store, ref, where)})"
        for n, (_, ref, where) in enumerate(declared)
    )
    rows = connect(store).execute(
        "select first, last, count(*), min(id) from (select id, min(place) as first, "
        f"max(place) as last from ({parts}) group by id) where first < last "
        "group by first, last order by first, last"
    )
    names = [name for name, _, _ in declared]
    return [
        {"sources": [names[first], names[last]], "documents": count, "example": example}
        for first, last, count, example in rows.fetchall()
    ]


def _ids(store: Store, ref: str, where: str | None) -> str:
    dataset = store[ref]
    condition = check_where(view(dataset), dataset, where)
    return f"select {quoted('id')} as id from {source(dataset)} where {condition}"


def shared_notes(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the user is told of shared documents."""
    return [
        f"sources {' and '.join(map(repr, entry['sources']))} share {entry['documents']:,} "
        f"documents, e.g. {literal(entry['example'])}: they are seen once for each; "
        "leave them out of one by `where`, or deduplicate before"
        for entry in found
    ]


def least_epochs(method: str, rows: int, seq: int, tokens: int, documents: int) -> float:
    """How often a source is surely seen by `rows` rows of `seq` tokens, before it is packed.

    Rows may hold padding: an epoch takes at most so many of them.
    """
    if method == "one_per_row":
        return rows / documents
    if method in ("greedy", "whole"):
        return rows / (2 * tokens / seq + 1)  # two rows in a row hold more than one
    return rows / (tokens / seq + 1)


def epoch_notes(
    names: Sequence[str], epochs: Sequence[float], max_epochs: float | None
) -> list[str]:
    """Warnings of repetition; RecipeError beyond the limit: the user's, or the published one."""
    limit = REFUSE_EPOCHS if max_epochs is None else max_epochs
    notes = []
    for name, times in zip(names, epochs, strict=True):
        if times > limit * (1 + 1e-9):
            why = (
                f"more than {limit:g}, your max_epochs"
                if max_epochs is not None
                else f"more than {limit:g}, after which another pass is worth next to nothing "
                f"({REPETITION}: its value decays with {TOKEN_DECAY:.1f} epochs)"
            )
            raise RecipeError(
                f"source {name!r} would be seen {times:.1f} times, {why}; lower the budget or its "
                f"weight, use `unimax`, or set max_epochs: {math.ceil(times)}"
            )
        if times > WARN_EPOCHS:
            notes.append(_repeated(name, times))
    return notes


def _repeated(name: str, times: float) -> str:
    return (
        f"source {name!r} is seen {times:.1f} times; up to {WARN_EPOCHS:g} a repetition is nearly "
        f"as good as new data, then it pays less and less ({REPETITION})"
    )
