"""Whether models fit together: the same tensors, shapes and architecture.

In: folders. Out: nothing, or RecipeError with the tensor or key and both values.
Shown by: `use: checkpoint` over models of two sizes. Limit: training that made the models too
different to be merged cannot be seen here; the report's distances and angles tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gristmill.errors import RecipeError
from train.weights.folder import Folder

# Keys of a config that do not change what the weights compute.
_FREE = {
    *("transformers_version", "dtype", "torch_dtype", "_name_or_path", "use_cache"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "id2label", "label2id", "problem_type"),
    *("attention_dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"),
    *("initializer_range", "router_aux_loss_coef", "output_router_logits", "pretraining_tp"),
}


def must_match(folders: Sequence[Folder]) -> None:
    """Raise RecipeError unless every model has the tensors, shapes and config of the first."""
    first = folders[0]
    for other in folders[1:]:
        _same_names(first, other)
        for name, entry in first.tensors.items():
            shape = other.tensors[name].shape
            if shape != entry.shape:
                raise RecipeError(
                    f"{name} is {list(entry.shape)} in {first.label} and {list(shape)} in "
                    f"{other.label}; merge models of one shape"
                )
        _same_config(first, other)


def _same_names(first: Folder, other: Folder) -> None:
    for one, two in ((first, other), (other, first)):
        if lacks := sorted(set(one.tensors) - set(two.tensors)):
            raise RecipeError(
                f"{lacks[0]} {list(one.tensors[lacks[0]].shape)} is in {one.label} and not in "
                f"{two.label} ({len(lacks)} such); merge models of one architecture"
            )


def _same_config(first: Folder, other: Folder) -> None:
    for key in sorted((set(first.config) | set(other.config)) - _FREE):
        mine, theirs = first.config.get(key), other.config.get(key)
        if mine != theirs:
            raise RecipeError(
                f"config {key} is {_short(mine)} in {first.label} and {_short(theirs)} in "
                f"{other.label}; the same weights would compute different things"
            )


def _short(value: Any) -> str:
    return f"{value!r:.80}"
