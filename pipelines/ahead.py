"""What would stop a step only when its turn comes, hours later: told before the first one runs.

In: a step and a store. Out: nothing, or the mistake; packages that are not installed.
Shown by: `gristmill plan` of a recipe whose last step reads a file that is not there.
Limit: a package counts as there when Python finds it; whether it loads is seen when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from gristmill.errors import GristmillError, RecipeError, StoreError
from gristmill.fs import expand
from gristmill.step import Ahead, Step
from gristmill.store import Store
from pipelines.inputs import as_path, promised

# Packages without which a step cannot start, and the extra that brings them. The others that a step
# names count for its fingerprint, and are asked for by what uses them.
EXTRAS = {"torch": "synth", "transformers": "synth", "vllm": "vllm", "peft": "train"}
TRAINING = {"accelerate", "safetensors"}  # beside torch, for `use: train`


def check_ahead(step: Step, store: Store, planned: set[str], makes: Mapping[str, Step]) -> None:
    """Raise now what would stop a step only when its turn comes, hours later.

    planned: names of the recipe's steps. makes: each of their outputs -> its step.
    """
    for ref in step.inputs():
        if not promised(ref, planned):
            try:
                store[ref]
            except StoreError as error:
                told = f"step {step.name!r} reads {ref!r}: {error}{as_path(ref)}"
                raise RecipeError(told) from None
    try:
        for pattern in step.files():
            expand(pattern)
        step.check()
        step.check_recipe(Ahead(store, makes, {}, {}))
    except GristmillError as error:
        raise RecipeError(f"step {step.name!r}: {error}") from None


def makers(steps: Sequence[Step]) -> dict[str, Step]:
    """Each output of a recipe's steps -> the step that makes it."""
    return {step.name + suffix: step for step in steps for suffix in step.outputs()}


def absent(step: Step) -> str:
    """What a step needs and is not installed, with the command that brings it; "" for nothing."""
    needed = {name for name in step.packages() if name in EXTRAS}
    needed |= TRAINING if step.use == "train" else set()
    missing = sorted(name for name in needed if find_spec(name) is None)
    if not missing:
        return ""
    extras = {EXTRAS.get(name, "train") for name in missing}
    if type(step).__module__.startswith("train."):
        extras = {"train" if extra == "synth" else extra for extra in extras}
    wanted = ",".join(sorted(extras))
    return (
        f"step {step.name!r} needs {', '.join(missing)}, not installed: "
        f"`pip install 'gristmill[{wanted}]'`, in a checkout `pip install -e '.[{wanted}]'` or "
        "`make extras`"
    )
