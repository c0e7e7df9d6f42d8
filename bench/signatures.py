"""Claim: MinHash signatures against datasketch, rensa and datatrove.

In: random pages of the shared crawl, as text in memory; tokenisation and shingling are part of the
work. Out: `.bench/results/signatures.json`. Shown by: `python -m bench.signatures --size full`.
Limit: peers' words are `\\w+` runs, ours and datatrove's are their own: shingles differ a little.
"""

from __future__ import annotations

from bench import corpora
from bench.harness import Claim, Side, interleave, main, peer_python, ratio_row


def claim(size: str, rounds: int) -> Claim:
    """Five sides on the same documents."""
    path = corpora.sample(corpora.web(), 4 if size == "full" else 0.5)
    options, peers = {"path": str(path)}, peer_python("peers")
    sketches = "bench.sides.sketches"
    seen = interleave(
        [
            Side("gristmill", "bench.sides.gristmill_text:open_signatures", options),
            Side("datasketch", f"{sketches}:open_datasketch", options, peers),
            Side("rensa", f"{sketches}:open_rensa", options, peers),
            Side("rensa, words", f"{sketches}:open_rensa", {**options, "way": "words"}, peers),
            Side("datatrove", "bench.sides.datatrove_minhash:open_signatures", options, peers),
        ],
        rounds,
    )
    ours = seen["gristmill"]
    work = "MinHash signatures"
    rows = [
        ratio_row(f"{work} / datasketch", seen["datasketch"], ours, 20, "MinHash.bulk"),
        ratio_row(f"{work} / rensa", seen["rensa"], ours, 3.5, "digest_matrix_from_token_sets"),
        ratio_row(f"{work} / datatrove", seen["datatrove"], ours, 700, "xxhash, its default"),
        ratio_row(
            f"{work} / rensa without shingling",
            seen["rensa, words"],
            ours,
            None,
            "rensa sketches plain words here: less work than ours",
        ),
    ]
    return Claim(
        "signatures",
        "MinHash signatures: 112 permutations, 5-word shingles, tokenisation included",
        size,
        corpora.describe(path),
        seen,
        rows,
    )


if __name__ == "__main__":
    main(claim, __doc__)
