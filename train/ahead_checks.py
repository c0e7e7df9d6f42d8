"""What other steps and the store show to be wrong of a stage, before the first step runs.

In: a stage, and what the planner knows of its inputs. Out: nothing, or RecipeError with the fix.
Shown by: `gristmill plan pipelines/recipes/train/itec.yaml --set prompts=web/final`.
Limit: of a model of a hub, and of rows that no step here makes yet, nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from gristmill.step import Ahead
from mixtures.tokens.tokenizer_sources import dataset_of
from train.checks import check_kinds
from train.data.shapes import shape_of
from train.models.sizes import check_positions
from train.planned import config_at, config_of, kind_of
from train.spec import Rows

if TYPE_CHECKING:
    from train.step import Train

MODEL = "model"  # the kind
JUDGE = "rollout.rewards"
_RATES = "ForSequenceClassification"  # the end of a reward model's architecture


def check_recipe(step: Train, ahead: Ahead) -> None:
    """Raise RecipeError where the steps and datasets of a recipe do not fit each other."""
    data = [step.data] if isinstance(step.data, str) else list(step.data.rows)
    kinds = {ref: kind_of(ref, ahead) for ref in data}
    check_kinds(step, {ref: kind for ref, kind in kinds.items() if kind is not None})
    for dataset in (ahead.dataset(ref) for ref in data if isinstance(step.data, Rows)):
        if dataset is not None:
            shape_of(step, dataset.manifest["kind"], dataset.schema.names, dataset.ref)
    for where, ref in _models(step):
        _check_model(where, ref, kind_of(ref, ahead))
    _check_rating(step, ahead)
    _check_lengths(step, ahead)
    if isinstance(step.data, str):
        _check_tokenizers(step, step.data, ahead)


def _models(step: Train) -> Iterator[tuple[str, str]]:
    """Keys that name a model of the store, and what they name."""
    start = dataset_of(step.init.from_) if step.init.from_ else None
    if start is not None:
        yield "init", start
    yield from (("teacher", ref) for ref in step.teachers)
    if step.reference is not None:
        yield "reference", step.reference
    if step.optim.merge is not None:
        yield "optim.merge.base", step.optim.merge.base
    judges = step.rollout.rewards if step.rollout else ()
    yield from ((JUDGE, judge.model) for judge in judges if judge.model)


def _check_model(where: str, ref: str, kind: str | None) -> None:
    if kind not in (None, MODEL):
        raise RecipeError(
            f"{where} is {ref!r}, rows of kind {kind}, not a model; name the output of "
            "`use: train` or `use: checkpoint`"
        )


def _check_rating(step: Train, ahead: Ahead) -> None:
    """A reward model rates and does not write: the other's head would be random weights."""
    for where, ref in _models(step):
        rates = _rates(ref, ahead)
        if where == JUDGE and rates is False:
            raise RecipeError(
                f"{where} names the model {ref!r}, which writes and does not rate: train one with "
                "`use: train, kind: reward`"
            )
        if where != JUDGE and rates and step.kind != "reward":
            raise RecipeError(
                f"{where} is {ref!r}, a reward model: it rates and does not write, and a stage of "
                f"kind {step.kind!r} needs one that writes; name the model that it began with"
            )


def _rates(ref: str, ahead: Ahead) -> bool | None:
    """Whether a model is a reward model; None where that is unknown."""
    from train.step import Train
    from train.weights.step import Checkpoint

    planned = ahead.step(ref)
    if isinstance(planned, Train):
        return planned.kind == "reward"
    if isinstance(planned, Checkpoint):
        first = planned.op.sources()[0]
        name = dataset_of(first)
        return None if name is None else _rates(name, ahead)
    found = None if planned else config_at(ref, ahead)
    named = (found or {}).get("architectures")
    return None if not named else str(named[0]).endswith(_RATES)


def _check_lengths(step: Train, ahead: Ahead) -> None:
    """Rows, or what the policy writes, fit the positions that the model knows."""
    config = config_of(step, ahead)
    most = config.get("max_position_embeddings") if config else None
    if step.rollout is not None and most is not None and step.rollout.max_tokens >= most:
        raise RecipeError(
            f"rollout.max_tokens is {step.rollout.max_tokens}, and the model knows {most} "
            "positions (max_position_embeddings), prompt and completion together: no prompt would "
            "fit; make max_tokens smaller"
        )
    longest = _longest(step, ahead)
    where = "init.config" if step.init.config else "model.patch"
    check_positions(most, longest, where)


def _longest(step: Train, ahead: Ahead) -> int | None:
    from mixtures.blend.step import Mixture

    mixture = None if isinstance(step.data, Rows) else ahead.step(step.data)
    return max(s.seq for s in mixture.shape) if isinstance(mixture, Mixture) else None


def _check_tokenizers(step: Train, mixture: str, ahead: Ahead) -> None:
    """A checkpoint reads the tokens that it was trained on."""
    if step.init.from_ is None:
        return
    from train.models.vocabulary import must_agree  # opens plans: a third of a second
    from train.planned_tokenizers import mixture_tokenizers, model_tokenizer

    ours = model_tokenizer(step.init.from_, ahead)
    if ours is None:
        return
    for where, theirs in mixture_tokenizers(mixture, ahead):
        must_agree(f"the checkpoint {step.init.from_}", ours, where, theirs)
