"""What is refused of ranks that share the weights: before anything is loaded, without torch.

In: a stage. Out: nothing, or RecipeError with the fix. Shown by: `gristmill plan`.
Limit: `run: {shard: null, device: auto}` shares where there are GPUs, so it is judged there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.errors import RecipeError

if TYPE_CHECKING:
    from train.step import Train


def surely_shared(step: Train) -> bool:
    """Whether the recipe alone says that ranks share the weights."""
    run = step.run
    return run.ranks > 1 and (run.device == "cuda" if run.shard is None else run.shard)


def check_shared(step: Train) -> None:
    """Raise RecipeError for what needs the whole weights on each rank, while it learns."""
    ema = step.average is not None and step.average.kind == "ema"
    whole = {
        "model.soft_top_k": step.model.soft_top_k is not None,
        "model.sparse": step.model.sparse is not None,
        "model.quantize": step.model.quantize is not None,
        "model.lora of a reward model": step.kind == "reward" and step.model.lora is not None,
        "optim.merge": step.optim.merge is not None,
        "optim.name muon": step.optim.name == "muon",
        "average.kind ema": ema,
    }
    for key in (key for key, given in whole.items() if given):
        raise RecipeError(
            f"{key} needs the whole weights on each rank, and {step.run.ranks} ranks share them; "
            "write `run: {shard: false}`, or `ranks: 1`"
        )
