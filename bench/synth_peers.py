"""Claim: the same prompts on the same model, beside datatrove's inference runner and distilabel.

In: web documents, a model of random weights; a `vllm serve` on loopback for the peers and for our
own client. Out: `.bench/results/synth_peers.json`.
Shown by: `python -m bench.synth_peers --size full`.
Limit: each peer is measured at its best: datatrove without its server's start, distilabel without
its pipeline. Our run in one process with vLLM is the default; over HTTP it is named apart.
"""

from __future__ import annotations

from pathlib import Path

from bench.harness import Claim, Side, interleave, main, peer_python
from bench.sides.synth_vllm import PROMPT
from bench.synth_goodput import CONTEXT, documents, rate_row
from bench.synth_model import random_model
from tests.synth.engines.serve import serve

SERVER = (
    *("--max-model-len", str(CONTEXT), "--max-num-seqs", "256", "--max-num-batched-tokens", "4096"),
    # Seeds under chunked prefill end vLLM's CPU build: "CPU Generator does not use offset".
    "--no-enable-chunked-prefill",
)


def claim(size: str, rounds: int) -> Claim:
    """Two peers and our two ways, in turns."""
    count, tokens, name = (256, 128, "small") if size == "full" else (16, 16, "tiny")
    path, texts = documents(count)
    model: Path = random_model(name, texts)
    work = {"documents": str(path), "tokens": tokens, "temperature": 1.0}
    inside = {"vllm": {"model": str(model), "max_model_len": CONTEXT, "max_num_seqs": 256}}
    ours = "bench.sides.synth_vllm:open_recipe"
    with serve(model, *SERVER, name="random", nice=0) as url:
        peer = {**work, "model": "random", "url": url.removesuffix("/v1"), "prompt": PROMPT}
        server = {"openai": {"model": "random", "url": url, "in_flight": 512}}
        sides = [
            Side(
                "datatrove",
                "bench.sides.datatrove_inference:open_runner",
                peer,
                peer_python("generation"),
                pinned=False,
            ),
            Side(
                "distilabel",
                "bench.sides.distilabel_generation:open_task",
                peer,
                peer_python("generation"),
                pinned=False,
            ),
            Side("gristmill", ours, {**work, "engine": inside}, pinned=False),
            Side("gristmill over HTTP", ours, {**work, "engine": server}, pinned=False),
        ]
        seen = interleave(sides, rounds)
    made = {side: [m.result["tokens"]] * rounds for side, m in seen.items()}
    rows = []
    for mine in ("gristmill", "gristmill over HTTP"):
        for peer_name in ("datatrove", "distilabel"):
            work_name = f"generated tokens a second, {mine} / {peer_name}"
            row = rate_row(work_name, seen[mine], seen[peer_name], made)
            row.target = 1.1 if mine == "gristmill" else None
            rows.append(row)
    for m in seen.values():
        m.result.pop("facts", None)
    corpus = {"documents": count, "max_tokens": tokens, "tokens": made["gristmill"][0]}
    return Claim("synth_peers", "Generation beside its peers", size, corpus, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
