"""Claim: packing 30 million tokens a second in one thread, beside TRL's pack_dataset.

In: lengths like those of C4's pages. Out: `.bench/results/packing.json`, and every method's token
ledger. Shown by: `python -m bench.packing --size full`. Limit: lengths come from a lognormal with
the spread of words a page in 300 pages of C4, at the mean that is named; TRL also copies the
tokens, so it stands beside our packing with and without that.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from statistics import median

import numpy as np

from bench import corpora
from bench.harness import Claim, Measurement, Row, Side, interleave, main, peer_python, ratio_row

MEANS = {"web-like": 1000, "short": 100}
SEQS = (2048, 8192)


def lengths(mean: int, tokens: int) -> Path:
    """Lengths of documents of about `tokens` tokens in all, int32 in an .npy file."""
    path, temporary, there = corpora.fresh_path(f"lengths-{mean}-{tokens}.npy")
    if there:
        return path
    with gzip.open(corpora.source_data() / "text" / "c4_demo.jsonl.gz", "rt") as lines:
        words = np.array([len(json.loads(line)["text"].split()) for line in lines])
    sigma = float(np.log(words[words > 0]).std())
    draw = np.random.default_rng(mean).lognormal(np.log(mean) - sigma**2 / 2, sigma, tokens // mean)
    with temporary.open("wb") as out:
        np.save(out, np.maximum(np.round(draw), 1).astype(np.int32))
    return corpora.publish(path, temporary)


def claim(size: str, rounds: int) -> Claim:
    """Best fit as pieces and as tokens, TRL's three strategies, plain Python; then all methods."""
    tokens = 30_000_000 if size == "full" else 3_000_000
    paths = {name: str(lengths(mean, tokens)) for name, mean in MEANS.items()}
    web, total = paths["web-like"], int(np.load(paths["web-like"]).sum())
    ours, peers = "bench.sides.gristmill_packing", peer_python("packing")
    trl = "bench.sides.trl_packing"
    sides = [
        Side("gristmill 2048", f"{ours}:open_packing", {"path": web, "seq": 2048}),
        Side("gristmill 8192", f"{ours}:open_packing", {"path": web, "seq": 8192}),
        Side("gristmill short", f"{ours}:open_packing", {"path": paths["short"], "seq": 2048}),
        Side(
            "gristmill tokens",
            f"{ours}:open_packing",
            {"path": web, "seq": 2048, "gather": True, "passes": 2},
        ),
        Side("gristmill methods", f"{ours}:open_methods", {"paths": paths, "seqs": list(SEQS)}),
        Side("plain Python", f"{trl}:open_plain", {"path": web, "seq": 2048}),
    ]
    for strategy in ("bfd_split", "bfd", "wrapped"):
        options = {"path": web, "seq": 2048, "strategy": strategy}
        sides.append(Side(f"TRL {strategy}", f"{trl}:open_trl", options, peers))
    options = {"path": web, "seq": 2048, "strategy": "bfd_split", "batch": 8192}
    sides.append(Side("TRL bfd_split, batch 8192", f"{trl}:open_trl", options, peers))
    seen = interleave(sides, rounds)
    return Claim(
        "packing",
        "Packing documents into rows, one thread",
        size,
        _described(paths),
        seen,
        [
            _rate("best fit, rows of 2,048", seen["gristmill 2048"], total, 30),
            _rate("best fit, rows of 8,192", seen["gristmill 8192"], total, 30),
            _rate(
                "best fit, rows of 2,048, documents of 100 tokens",
                seen["gristmill short"],
                int(np.load(paths["short"]).sum()),
            ),
            _fill("best fit, filled places, rows of 2,048", seen["gristmill 2048"]),
            _fill("best fit, filled places, rows of 8,192", seen["gristmill 8192"]),
            ratio_row(
                "best fit, tokens copied / TRL bfd_split",
                seen["TRL bfd_split"],
                seen["gristmill tokens"],
                None,
                "the same work: packed tokens in memory",
            ),
            ratio_row(
                "best fit, pieces / TRL bfd_split",
                seen["TRL bfd_split"],
                seen["gristmill 2048"],
                None,
                "TRL copies tokens as well",
            ),
            ratio_row(
                "best fit, pieces / plain Python", seen["plain Python"], seen["gristmill 2048"]
            ),
        ],
        _ledgers(seen),
    )


def _rate(work: str, seen: Measurement, tokens: int, target: float | None = None) -> Row:
    rates = [tokens / seconds / 1e6 for seconds in seen.seconds]
    return Row(work, median(rates), min(rates), max(rates), "million tokens/s", target)


def _fill(work: str, seen: Measurement) -> Row:
    share = 100 * (1 - seen.result["padding"])
    return Row(work, share, share, share, "%", 99.5)


def _described(paths: dict[str, str]) -> dict[str, object]:
    described: dict[str, object] = {}
    for name, path in paths.items():
        file = np.load(path)
        means = f"{file.mean():.0f} tokens, median {np.median(file):.0f}"
        described[f"{name} documents"] = f"{len(file):,} of {means}"
    return described


def _ledgers(seen: dict[str, Measurement]) -> list[str]:
    """A note for each method on the same documents, ours and TRL's."""
    found = dict(seen["gristmill methods"].result)
    found |= {name: side.result for name, side in seen.items() if name.startswith("TRL")}
    notes = []
    for name, ledger in found.items():
        text = f"{name}: {ledger['rows']:,} rows; tokens kept whole {ledger['kept_whole']:.2%}"
        text += f", in parts {ledger['kept_split']:.2%}, dropped {ledger['dropped']:.2%}"
        text += f"; padding {ledger['padding']:.2%} of the places"
        if rate := ledger.get("tokens_per_s"):
            text += f"; {rate / 1e6:,.0f} million tokens/s"
        notes.append(text)
    return notes


if __name__ == "__main__":
    main(claim, __doc__)
