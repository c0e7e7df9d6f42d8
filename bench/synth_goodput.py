"""Claim: a whole recipe generates nearly as fast as bare `LLM.generate` on the same prompts.

In: web documents, a model of random weights on vLLM. Out: `.bench/results/synth_goodput.json`.
Shown by: `python -m bench.synth_goodput --size full`.
Limit: vLLM's CPU build on two cores, where our own work takes cores from the model; on a GPU it
does not.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from statistics import median

from bench.corpora import CORPORA, source_data
from bench.harness import Claim, Measurement, Row, Side, interleave, main
from bench.synth_model import random_model

CONTEXT = 1024


def documents(count: int) -> tuple[Path, list[str]]:
    """Web texts of some 150 words, as JSON lines."""
    path = CORPORA / f"synth-{count}.jsonl"
    with gzip.open(source_data() / "text" / "c4_demo.jsonl.gz", "rt") as file:
        texts = [" ".join(json.loads(line)["text"].split()[:150]) for line in file]
    texts = [texts[n % len(texts)] + f" ({n})" for n in range(count)]
    lines = [json.dumps({"id": f"{n:032x}", "text": text}) for n, text in enumerate(texts)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path, texts


def rate_row(work: str, ours: Measurement, peer: Measurement, tokens: dict[str, list[int]]) -> Row:
    """Our generated tokens a second over the peer's, round by round."""
    ratios = [
        (a / s) / (b / t)
        for a, s, b, t in zip(
            tokens[ours.side], ours.seconds, tokens[peer.side], peer.seconds, strict=True
        )
    ]
    return Row(work, median(ratios), min(ratios), max(ratios))


def claim(size: str, rounds: int) -> Claim:
    """Bare vLLM and the recipe, in turns."""
    count, tokens, name = (256, 128, "small") if size == "full" else (16, 16, "tiny")
    path, texts = documents(count)
    model = str(random_model(name, texts))
    work = {"documents": str(path), "tokens": tokens, "temperature": 1.0}
    raw = {**work, "model": model, "context": CONTEXT}
    recipe = {**work, "engine": {"vllm": {"model": model, "max_model_len": CONTEXT}}}
    job = "bench.sides.synth_vllm"
    seen = interleave(
        [
            Side("LLM.generate", f"{job}:open_raw", raw, pinned=False),
            Side("gristmill recipe", f"{job}:open_recipe", recipe, pinned=False),
        ],
        rounds,
    )
    made = {side: [m.result["tokens"]] * rounds for side, m in seen.items()}
    row = rate_row(
        "generated tokens a second, whole recipe / bare LLM.generate",
        seen["gristmill recipe"],
        seen["LLM.generate"],
        made,
    )
    row.target = 0.97
    facts = seen["gristmill recipe"].result.pop("facts")
    corpus = {"documents": count, "max_tokens": tokens, "tokens": made["gristmill recipe"][0]}
    return Claim(
        "synth_goodput", "A recipe on vLLM", size, corpus, seen, [row], extra={"facts": facts}
    )


if __name__ == "__main__":
    main(claim, __doc__)
