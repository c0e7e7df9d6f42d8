"""The register of steps: the name that a recipe uses -> the class, imported when first named.

In: `use: curate`. Out: the Step class. Shown by: `gristmill run RECIPE`.
Limit: a third party adds steps by the entry point group `gristmill.steps`; two of one name: ours
wins.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from gristmill.errors import RecipeError, nearest
from gristmill.step import Step

STEPS = {
    "curate": "curation.curate:Curate",
    "exact_dedup": "curation.exact_dedup:ExactDedup",
    "minhash_dedup": "curation.minhash.step:MinhashDedup",
    "decontaminate": "curation.decontam.step:Decontaminate",
    "synthesize": "synth.step:Synthesize",
    "train_tokenizer": "mixtures.tokens.train_tokenizer:TrainTokenizer",
    "tokenize": "mixtures.tokens.tokenize:Tokenize",
    "train": "train.step:Train",
    "evaluate": "train.evaluate.step:Evaluate",
    "compare": "train.compare.step:Compare",
    "checkpoint": "train.weights.step:Checkpoint",
    "mixture": "mixtures.blend.step:Mixture",
    "mixture_swarm": "mixtures.weights.swarm:MixtureSwarm",
    "mixture_fit": "mixtures.weights.fit:MixtureFit",
    "import": "pipelines.import_step:Import",
}
GROUP = "gristmill.steps"
_HOME = Path(__file__).resolve().parent.parent


def step_class(use: str) -> type[Step]:
    """The class of a step; RecipeError with the nearest name where there is none."""
    if use in STEPS:
        module, _, name = STEPS[use].partition(":")
        return _ours(module, name)
    for point in entry_points(group=GROUP, name=use):
        found: type[Step] = point.load()
        return found
    known = [*STEPS, *(point.name for point in entry_points(group=GROUP))]
    raise RecipeError(f"unknown step `use: {use}`{nearest(str(use), known)}")


def _ours(module: str, name: str) -> type[Step]:
    """Import from our installation; folders like `train` may also stand in a user's directory."""
    package = import_module(module.partition(".")[0])
    home = Path(package.__file__ or "").resolve().parent.parent
    if home != _HOME:
        raise RecipeError(
            f"package {package.__name__!r} comes from {home}, not from Gristmill ({_HOME}); "
            "a folder of that name shadows ours: rename it or run from another directory"
        )
    found: type[Step] = getattr(import_module(module), name)
    return found
