"""Claim: a stage over a mixture trains as fast as a bare PyTorch loop over random tokens.

In: a mixture of two sources of random tokens; a small Llama. Out: `.bench/results/train_loop.json`.
Shown by: `python -m bench.train_loop --size full`. Limit: one core of a CPU, where a step is long;
on a GPU, steps are short and the share of what surrounds them is larger.

A round of a stage is a whole `Loop.train()`: Trainer's set-up, rows from the store, the lines of
the log. Documents apart is what a mixture asks by default: an attention mask of blocks, which the
loop over random tokens does not have, so that row has no target. Then a stage is opened over 10^9
rows.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bench import corpora
from bench.harness import Claim, Measurement, Row, Side, SideProcess, interleave, main, ratio_row
from bench.token_store import VOCABULARY as HUGE_VOCABULARY
from bench.token_store import huge_store
from gristmill.store import Store
from mixtures.blend.step import Mixture
from tests.mixtures.make_tokens import MakeTokens
from tests.run_step import InProcess, run_step

VOCABULARY = 4096
SHAPES = {  # hidden size, layers, row length, rows a step, steps
    "full": (256, 6, 256, 8, 12),
    "small": (64, 2, 64, 8, 24),
}
JOB = "bench.sides.train_stage"


def model(hidden: int, layers: int, vocabulary: int, context: int) -> dict[str, Any]:
    """A Llama's config."""
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 32,
        "num_key_value_heads": hidden // 32,
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "tie_word_embeddings": True,
    }


def mixtures(seq: int, batch: int, steps: int, vocabulary: int = VOCABULARY) -> Path:
    """A store with the mixtures `row` and `document`, by how documents attend."""
    path, temporary, there = corpora.fresh_path(f"train-{seq}-{batch}-{steps}-{vocabulary}")
    if there:
        return path
    shutil.rmtree(temporary, ignore_errors=True)
    store, budget = Store(temporary), seq * batch * steps
    for seed, name in enumerate(("web", "news")):
        made = {"documents": budget // 200, "lengths": (20, 800), "seed": seed, "prefix": name}
        step = MakeTokens(name=f"tokens/{name}", use="make", vocabulary=vocabulary, **made)
        run_step(step, store, executor=InProcess())  # type: ignore[arg-type]
    given = {"sources": {"web": "tokens/web", "news": "tokens/news"}, "weights": "uniform"}
    given |= {"use": "mixture", "budget": budget, "shape": [{"seq": seq, "batch": batch}]}
    for attention in ("row", "document"):
        step = Mixture.model_validate({**given, "name": attention, "attention": attention})
        run_step(step, store, executor=InProcess())
    return corpora.publish(path, temporary)


def opening(rounds: int) -> tuple[Measurement, Row]:
    """A fresh process each time: seconds from a recipe's step to its first forward pass."""
    seen = Measurement("stage of 10^9 rows", 0.0, 0.0, 0.0, {}, "")
    options = {"store": str(huge_store()), "config": model(32, 1, HUGE_VOCABULARY, 2048)}
    for _ in range(rounds):
        process = SideProcess(Side(seen.side, f"{JOB}:open_huge", options), 0)
        try:
            answer = process.run()
        finally:
            process.close()
        seen.seconds.append(answer["seconds"])
        seen.result, seen.packages = answer["result"], process.ready["packages"]
        seen.import_s = process.ready["import_s"] + process.ready["load_s"]
        seen.peak_rss_mb = answer["peak_rss_mb"]
    detail = "model, plan, Trainer, the first step's 4M tokens read; imports of a fresh process in"
    low, high = min(seen.seconds), max(seen.seconds)
    row = Row("start-up to the first step, 10^9 rows", seen.median, low, high, "s", 15, True)
    row.detail = detail
    return seen, row


def claim(size: str, rounds: int) -> Claim:
    """The loop and two stages, in turns; then the openings."""
    hidden, layers, seq, batch, steps = SHAPES[size]
    store, config = str(mixtures(seq, batch, steps)), model(hidden, layers, VOCABULARY, seq)
    bare = {"config": config, "seq": seq, "batch": batch, "steps": steps}
    stage = {"store": store, "config": config}
    seen = interleave(
        [
            Side("bare loop", f"{JOB}:open_bare", bare),
            Side("stage", f"{JOB}:open_stage_over", {**stage, "mixture": "row"}),
            Side(
                "stage, documents apart", f"{JOB}:open_stage_over", {**stage, "mixture": "document"}
            ),
        ],
        rounds,
    )
    rows = []
    for name, target in (("stage", 0.97), ("stage, documents apart", None)):
        scale = seen[name].result["tokens"] / seen["bare loop"].result["tokens"]
        work = f"training tokens a second, {name} / bare loop"
        rows.append(ratio_row(work, seen["bare loop"], seen[name], target, scale=scale))
    opened, row = opening(3 if size == "full" else 1)
    corpus = {"tokens a round": steps * batch * seq, "hidden": hidden, "layers": layers}
    return Claim(
        "train_loop",
        f"Steps of {batch} rows of {seq} tokens, one core",
        size,
        corpus,
        {**seen, opened.side: opened},
        [*rows, row],
    )


if __name__ == "__main__":
    main(claim, __doc__)
