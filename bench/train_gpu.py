"""Claim: on a GPU a compiled stage in bfloat16 is as fast as a bare loop, and never waits for rows.

In: a mixture of random tokens. Out: `.bench/results/train_gpu.json`.
Shown by: `python -m bench.train_gpu --size full` where there is a GPU; `small` runs the same on a
CPU, with a model of a toy's size, to see that it runs. Limit: not run on a GPU yet; one GPU; the
share of its peak is told for those that train/machines.yaml lists.

Model, settings and steps of both sides are the same. The first steps compile, and are left out.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from bench.harness import Claim, Row, Side, interleave, main, ratio_row
from bench.train_loop import mixtures

SHAPES: dict[str, dict[str, int]] = {  # 0.82 B parameters; a toy
    "full": {"hidden": 2048, "layers": 16, "seq": 2048, "batch": 64, "micro": 4, "steps": 24},
    "small": {"hidden": 64, "layers": 2, "seq": 64, "batch": 8, "micro": 4, "steps": 8},
}
VOCABULARY = 32_768
WARM = 4  # steps
JOB = "bench.sides.train_gpu"


def model(hidden: int, layers: int, context: int) -> dict[str, Any]:
    """A Llama's config; heads of 128, as kernels for attention want them."""
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": 11 * hidden // 4,
        "num_hidden_layers": layers,
        "num_attention_heads": max(2, hidden // 128),
        "num_key_value_heads": max(2, hidden // 256),
        "vocab_size": VOCABULARY,
        "max_position_embeddings": context,
        "tie_word_embeddings": True,
    }


def device() -> str:
    """cuda where torch sees a GPU."""
    if not find_spec("torch"):
        sys.exit("this claim needs torch: `make extras`")
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def claim(size: str, rounds: int) -> Claim:
    """The loop and the stage in turns."""
    here, shape = device(), SHAPES[size]
    if size == "full" and here == "cpu":
        sys.exit("torch sees no GPU here: nothing is measured. `--size small` runs on a CPU")
    store = str(mixtures(shape["seq"], shape["batch"], shape["steps"], VOCABULARY))
    config = model(shape["hidden"], shape["layers"], shape["seq"])
    both = {"config": config, "micro": shape["micro"], "warm": WARM, "device": here}
    stage = {"store": store, "mixture": "row"}
    bare = {name: shape[name] for name in ("seq", "batch", "steps")}
    seen = interleave(
        [
            Side("bare loop", f"{JOB}:open_bare", {**both, **bare}, pinned=False),
            Side(
                "stage",
                f"{JOB}:open_stage",
                {**both, **stage},
                pinned=False,
            ),
        ],
        rounds,
    )
    told = seen["stage"].result
    scale = told["tokens"] / seen["bare loop"].result["tokens"]
    work = "training tokens a second, compiled stage / bare loop"
    rows = [ratio_row(work, seen["bare loop"], seen["stage"], 0.97, scale=scale)]
    waited = told["waited"]
    rows.append(Row("the loader's share of a step", waited, waited, waited, "", 0.01, True))
    if (mfu := told["mfu"]) is not None:
        rows.append(Row("model FLOPs utilisation of the stage", mfu, mfu, mfu, "", 0.45))
    title = f"Steps of {shape['batch']} rows of {shape['seq']} tokens, bfloat16, {here}"
    return Claim("train_gpu", title, size, {"device": here, **shape}, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
