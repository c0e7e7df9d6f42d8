"""Gristmill's text kernels over documents in memory, on one core.

In: a JSONL corpus. Out: signals and decisions, signatures. Shown by: `python -m bench.signals`.
Limit: the kernels are so fast that a peer's sample is done in milliseconds; so a run makes several
passes, each over its own copy of the text, which no cache holds any more when its turn comes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from bench.sides.documents import rows, texts
from bench.worker import Job

PASS_BYTES = 128_000_000


def copies(path: str) -> list[pa.Array]:
    """Equal arrays in separate memory, together about PASS_BYTES."""
    loaded = texts(path)
    size = sum(len(text.encode()) for text in loaded)
    return [pa.array(loaded, pa.large_string()) for _ in range(max(1, PASS_BYTES // max(size, 1)))]


def open_signatures(path: str) -> Job:
    """112 permutations of 5-word shingles, from Arrow text."""
    from gristmill.text.minhash import minhash_signatures

    arrays = copies(path)

    def run() -> dict[str, Any]:
        made = [minhash_signatures(array) for array in arrays]
        return {"documents": len(made[0]), "check": int(made[0][0][0])}

    return Job(run=run, passes=len(arrays), packages=["numba", "numpy"])


def open_decontamination(path: str, items: str) -> Job:
    """The scan of the recipe `gpt3_13gram`, against question and answer of every item."""
    from gristmill.decontam.match import scan
    from gristmill.decontam.recipes import decontamination_recipe
    from gristmill.text.ngrams import build_index

    recipe = decontamination_recipe("gpt3_13gram")
    wanted = pa.array(f"{row['query']} {row['label']}" for row in rows(items))
    index = build_index(wanted, recipe.lengths, recipe.min_words)
    arrays = copies(path)

    def run() -> dict[str, Any]:
        matches = [scan(array, index, recipe)[0] for array in arrays]
        return {"contaminated": int(matches[0].matched.sum()), "index": len(index.item_hashes)}

    return Job(run=run, passes=len(arrays), packages=["numba"])


def open_signals(path: str) -> Job:
    """Every signal, and the decision of every rule of FineWeb's four rule sets, on every text."""
    from curation.rules import evaluate, rule_set
    from gristmill.text.signals import compute_signals

    sets = [rule_set(name) for name in ("gopher_repetition", "gopher_quality", "c4", "fineweb")]
    arrays = copies(path)

    def run() -> dict[str, Any]:
        kept: dict[str, int] = {}
        for array in arrays:
            signals = compute_signals(array, ("base", "repetition"))
            for rules in sets:
                failed = np.zeros(len(array), bool)
                for failure in evaluate(rules, signals):
                    failed |= failure.mask
                kept[rules.name] = int((~failed).sum())
        return {"kept": kept, "signals": len(signals)}

    return Job(run=run, passes=len(arrays), packages=["numba"])
