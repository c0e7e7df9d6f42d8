"""The tokenizer of a stage: where it comes from, and whether model and data speak the same one.

In: a job. Out: the tokenizer's files; RecipeError where a checkpoint was trained with another
tokenizer than the mixture's. Shown by: any `use: train`.
Limit: a checkpoint without a tokenizer.json is taken on the size of its vocabulary alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError
from gristmill.ids import canonical_json, digest, short
from gristmill.store import Store
from mixtures.plan import Plan, open_plan
from mixtures.tokens.tokenizer_sources import Source, read_source
from mixtures.tokens.tokenizers import FILES, MAIN, from_files, tokenizer_files
from train.job import Job

Files = dict[str, bytes]


def tokenizer_of(job: Job) -> Files:
    """Name -> content: init's own tokenizer, the checkpoint's, or the mixture's; all that are there
    must be the same one."""
    init, step = job.step.init, job.step
    found: dict[str, Files] = {}
    if init.tokenizer is not None:
        found["init.tokenizer"] = read_source(init.tokenizer, job.inputs, job.store)
    if init.from_ is not None:
        files = folder_files(job.model_folder(init.from_))
        if MAIN in files:
            found[f"the checkpoint {named(job, init.from_)}"] = files
    if isinstance(step.data, str):
        plan = open_plan(job.store, job.inputs[step.data])
        where = f"the mixture {plan.mixture} (tokenizer {plan.spec.tokenizer})"
        found[where] = tokenizer_files(Store(job.store)[plan.spec.tokenizer])
    if not found:
        raise RecipeError("`init.tokenizer` is missing: rows are tokenised with it")
    (first, files), *others = found.items()
    for where, other in others:
        must_agree(first, files, where, other)
    return files


def folder_files(folder: Path) -> Files:
    """The tokenizer's files of a model folder."""
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}


def must_agree(
    first: str, files: Mapping[str, bytes], second: str, other: Mapping[str, bytes]
) -> None:
    """RecipeError, naming both, unless two tokenizers encode the same."""
    ours, theirs = tokenizer_digest(files), tokenizer_digest(other)
    if ours == theirs:
        return
    raise RecipeError(
        f"{first} has tokenizer {ours} ({_size(files)} tokens), {second} has {theirs} "
        f"({_size(other)} tokens): a model reads only the tokens that it was trained on; tokenize "
        "the data with the checkpoint's tokenizer (`use: tokenize`, `tokenizer: …`)"
    )


def tokenizer_digest(files: Mapping[str, bytes]) -> str:
    """12 hex digits of what makes a tokenizer encode as it does, however the file is formatted."""
    found: dict[str, Any] = json.loads(files[MAIN])
    found.pop("truncation", None)  # a model's, not the tokenizer's
    found.pop("padding", None)
    return short(digest(json.loads(canonical_json(found))))


def check_size(size: int, files: Mapping[str, bytes], where: str) -> None:
    """RecipeError where a model of `size` embeddings has none for some token."""
    tokens = from_files(dict(files), where).vocab_size
    if size < tokens:
        raise RecipeError(
            f"{where}: vocab_size is {size:,}, the tokenizer has {tokens:,} tokens; leave "
            "vocab_size out (it is filled in), or name the tokenizer of the model"
        )


def longest_row(job: Job) -> int | None:
    """Tokens of the longest row of the data; None of prompts, which a rollout leaves room for."""
    if job.rows is not None:
        from train.data.prepared import open_prepared

        return None if job.step.rollout else open_prepared(job.rows).meta.longest
    assert isinstance(job.step.data, str)
    plan: Plan = open_plan(job.store, job.inputs[job.step.data])
    return max(segment.seq for segment in plan.segments)


def named(job: Job, source: Source) -> str:
    """A model's source for people: with its version where it is of the store."""
    return job.inputs.get(source, source) if isinstance(source, str) else source.hub


def _size(files: Mapping[str, bytes]) -> str:
    return f"{from_files(dict(files), MAIN).vocab_size:,}"
