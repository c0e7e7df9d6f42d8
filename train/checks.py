"""What is refused before anything is loaded: combinations that cannot be, data of the wrong kind.

In: a stage and, once they are there, its inputs. Out: nothing, or RecipeError with the fix.
Shown by: `gristmill plan`. Limit: what only the model's code can tell is told when the stage opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from gristmill.step import StepRun
from train.machines import machine
from train.models.sizes import check_sizes
from train.rollout_checks import check_rollout
from train.shared_checks import check_shared, surely_shared
from train.spec import Advance, Rows
from train.spec.loss import losses_of
from train.spec.losses.distill import Distill

if TYPE_CHECKING:
    from train.step import Train

# Kind of stage -> kinds of rows that it learns from.
ROWS_OF = {
    "pretrain": (),
    "distill": ("teacher", "chat", "prompt"),
    "sft": ("chat",),
    "reward": ("preference", "rows", "chat"),
    "preference": ("preference", "chat"),
    "rl": ("prompt",),
}
PACKED = "packed"  # the kind of a mixture
ONLY_ROWS = ("reward", "preference", "rl")


def check_stage(step: Train) -> None:
    """Raise RecipeError for what the fields alone show."""
    objective, rows = step.objective, isinstance(step.data, Rows)
    if step.kind not in objective.KINDS:
        raise RecipeError(
            f"a stage of kind {step.kind!r} has no loss {objective.NAME!r}, which is for "
            f"{' and '.join(sorted(objective.KINDS))}; {step.kind} has "
            f"{', '.join(losses_of(step.kind))}"
        )
    if rows and not ROWS_OF[step.kind]:
        raise RecipeError(f"kind {step.kind!r} reads a mixture: `data: mix/NAME`, not rows")
    if not rows and step.kind in ONLY_ROWS:
        raise RecipeError(
            f"kind {step.kind!r} reads rows: `data: {{rows: NAME, batch: 32}}`, not a mixture"
        )
    if (step.rollout is not None) != (step.kind == "rl" or objective.NAME == "kd_on_policy"):
        raise RecipeError("`rollout` is for kind rl and the loss kd_on_policy, which need it")
    if step.rollout is not None:
        check_rollout(step, step.rollout)
    if step.reference and not objective.REFERENCE:
        raise RecipeError(f"loss {objective.NAME!r} has no reference model; leave `reference` out")
    if step.model.quantize and not step.model.lora:
        raise RecipeError("quantized weights do not learn; give the stage `model: {lora: {…}}`")
    if step.model.quantize and step.init.from_ is None:
        raise RecipeError(
            "model.quantize is of a checkpoint's weights, and init.config begins with random ones; "
            "leave it out, or write `init: models/base`"
        )
    if step.run.machine is not None:
        machine(step.run.machine)
    check_sizes(step.init.config, "init.config")
    if step.init.config and step.model.patch:
        raise RecipeError("init.config is a new model: write what `model.patch` says there")
    if step.teachers and step.kind != "distill":
        raise RecipeError("`teacher` is for kind distill; leave it out")
    if isinstance(objective, Distill):
        _check_teacher(step, objective)
    if objective.NAME != "cross_entropy":
        options = {"model.z_loss": step.model.z_loss, "run.fused_loss": step.run.fused_loss}
        for key in (key for key, given in options.items() if given):
            raise RecipeError(f"{key} is for the loss cross_entropy, not {objective.NAME!r}")
    if step.optim.merge and not objective.REFERENCE:
        raise RecipeError("optim.merge needs a loss with a reference model (dpo, grpo, …)")
    if step.optim.merge and step.model.lora:
        raise RecipeError("optim.merge merges whole weights; leave `model.lora` out")
    if surely_shared(step):
        check_shared(step)
    if step.advance is not None:
        _check_advance(step, step.advance)


def _check_advance(step: Train, advance: Advance) -> None:
    """What the model writes or predicts is looked at, along the way."""
    if step.kind == "reward":
        raise RecipeError("advance asks a model that writes; a stage of kind reward makes none")
    if step.average is not None and step.average.kind == "uniform":
        raise RecipeError(
            "average.kind uniform takes its points before the end of the data, and advance may end "
            "the stage before that; use `average: {kind: ema, decay: 0.999}`"
        )
    for condition in advance.when:
        condition.task.check()
        if condition.recovers is not None and step.init.from_ is None:
            raise RecipeError(
                f"advance.when, {condition.title}: `recovers` compares with the model of "
                "`init.from`, and the stage begins with a new one; write `reaches: NUMBER`"
            )


def _check_teacher(step: Train, loss: Distill) -> None:
    """The teacher is stored with the rows, or it lives."""
    if step.teachers:
        loss.check_live()
    elif isinstance(step.data, str):
        raise RecipeError(
            f"loss {loss.NAME!r} over the mixture {step.data!r} asks a teacher while it trains: "
            "`teacher: models/large`; or learn from rows of kind teacher: `data: {rows: NAME}`"
        )
    else:
        loss.check_stored()


def check_kinds(step: Train, kinds: Mapping[str, str]) -> None:
    """Raise RecipeError where an input is not of the kind that the stage learns from.

    kinds: reference -> kind of its rows, of those that are known.
    """
    if isinstance(step.data, str):
        if kinds.get(step.data, PACKED) != PACKED:
            raise RecipeError(
                f"data is {step.data!r}, rows of kind {kinds[step.data]}; a "
                "name alone is a mixture (`use: mixture`); write `data: {rows: NAME}` for others"
            )
        return
    for ref in (ref for ref in step.data.rows if ref in kinds):
        kind = kinds[ref]
        if kind not in ROWS_OF[step.kind]:
            raise RecipeError(
                f"data.rows has {ref!r}, of kind {kind}; a stage of kind {step.kind!r} learns from "
                f"{' or '.join(ROWS_OF[step.kind])}"
            )
        if isinstance(step.objective, Distill) and (kind == "teacher") == bool(step.teachers):
            raise RecipeError(
                f"data.rows has {ref!r}, of kind {kind}, and the stage "
                + ("a `teacher`: these rows hold its answers" if step.teachers else "no `teacher`")
            )


def told(step: Train, run: StepRun) -> list[str]:
    """What a user should know of the inputs before the first step."""
    if step.kind != "sft" or not isinstance(step.data, str):
        return []
    from mixtures.plan import open_plan

    sources = open_plan(run.store, run.inputs[step.data].ref).spec.sources
    if any("loss_mask" in run.store[source.ref].schema.names for source in sources):
        return []
    return [
        f"no source of {step.data} says which tokens are an answer's (loss_mask, as `tokenize` of "
        "chats gives it): all tokens are learnt, as a stage of kind pretrain would"
    ]


def steps(step: Train, run: StepRun, folder: str | None) -> int:
    """Optimiser steps of the stage, for its progress bar."""
    if folder is not None:
        from train.data.prepared import open_prepared

        assert isinstance(step.data, Rows)
        updates = step.rollout.updates if step.rollout else 1
        return open_prepared(folder).steps(step.data) * updates
    from mixtures.plan import open_plan

    assert isinstance(step.data, str)
    return open_plan(run.store, run.inputs[step.data].ref).micro_batches(1).steps
