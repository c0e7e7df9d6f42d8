"""Claim: MinHash deduplication, text in to survivors out, against datatrove's four stages.

In: random pages of the shared crawl as Parquet. Out: `.bench/results/dedup.json`.
Shown by: `python -m bench.dedup --size full`. Limit: start-up (processes, imports) is measured by
the same run on ten documents and taken off both sides; what each took with it is printed too.
"""

from __future__ import annotations

from pathlib import Path

from bench import corpora
from bench.harness import (
    Claim,
    Side,
    growth_row,
    interleave,
    main,
    net,
    peer_python,
    ratio_row,
)

RECIPE = str(Path(__file__).parent / "recipes" / "dedup.yaml")


def ours(name: str, parquet: Path, workers: int = 1) -> Side:
    """`gristmill run` of the deduplication step alone."""
    options = {
        "recipe": RECIPE,
        "variables": {"documents": str(parquet)},
        "workers": workers,
        "built": ["docs/all"],
    }
    return Side(name, "bench.sides.gristmill_runs:open_recipe", options, pinned=workers == 1)


def claim(size: str, rounds: int) -> Claim:
    """Ours on many documents, datatrove on a random part of them: compared a byte of text."""
    full = size == "full"
    quarter = corpora.more(corpora.web(), 4) if full else corpora.sample(corpora.web(), 8)
    many = corpora.more(corpora.web(), 16 if full else 1)
    some = corpora.sample(corpora.web(), 8 if full else 0.5)
    few = corpora.sample(corpora.web(), 0.05)
    theirs, peers = "bench.sides.datatrove_minhash:open_stages", peer_python("peers")

    def datatrove(name: str, source: Path) -> Side:
        return Side(name, theirs, {"parquet": str(corpora.parquet(source))}, peers)

    seen = interleave(
        [
            ours("gristmill, many", corpora.parquet(many)),
            ours("gristmill, a quarter", corpora.parquet(quarter)),
            ours("gristmill, some", corpora.parquet(some)),
            ours("gristmill start-up", corpora.parquet(few)),
            datatrove("datatrove, some", some),
            datatrove("datatrove start-up", few),
        ],
        rounds,
    )
    work = "MinHash dedup, text in to survivors out / datatrove"
    peer = net(seen["datatrove, some"], seen["datatrove start-up"])
    start = seen["gristmill start-up"]
    described = corpora.describe(many)
    part = corpora.describe(some)["bytes"] / described["bytes"]
    growth = described["bytes"] / corpora.describe(quarter)["bytes"]
    kept = (
        seen["gristmill, some"].result["rows"]["docs/unique"],
        seen["datatrove, some"].result["survivors"],
    )
    rows = [
        ratio_row(
            work,
            peer,
            net(seen["gristmill, many"], start),
            50,
            f"a byte of text; datatrove on {part:.0%} of the documents",
            scale=1 / part,
        ),
        ratio_row(
            f"{work}, the same few documents, start-up included",
            seen["datatrove, some"],
            seen["gristmill, some"],
            detail=f"survivors {kept[0]} and {kept[1]}",
        ),
        growth_row(
            "MinHash dedup: time of 4x the text",
            net(seen["gristmill, many"], start),
            net(seen["gristmill, a quarter"], start),
            growth,
        ),
    ]
    return Claim("dedup", "MinHash deduplication, one worker each", size, described, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
