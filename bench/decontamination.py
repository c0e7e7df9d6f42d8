"""Claim: the decontamination scan against datatrove's n-gram filter.

In: random pages of the shared crawl, 50,000 benchmark items. Out: `.bench/results/
decontamination.json`. Shown by: `python -m bench.decontamination --size full`.
Limit: both look for 13-grams of question and answer; beyond that ours also finds the item and
measures its coverage, and leaves out number runs, so the two do not flag the same documents.
"""

from __future__ import annotations

from bench import corpora
from bench.harness import Claim, Side, interleave, main, peer_python, ratio_row
from bench.items import items


def claim(size: str, rounds: int) -> Claim:
    """Scan only: both indexes are in memory before the clock starts."""
    path = corpora.sample(corpora.web(), 4 if size == "full" else 0.5)
    options = {"path": str(path), "items": str(items())}
    theirs = "bench.sides.datatrove_decontamination:open_job"
    seen = interleave(
        [
            Side("gristmill", "bench.sides.gristmill_text:open_decontamination", options),
            Side("datatrove", theirs, {**options, "n_grams": 13}, peer_python("peers")),
        ],
        rounds,
    )
    ours, peer = seen["gristmill"], seen["datatrove"]
    row = ratio_row(
        "decontamination scan / datatrove",
        peer,
        ours,
        100,
        f"documents flagged {ours.result['contaminated']} and {peer.result['contaminated']}",
    )
    note = (
        "datatrove's indexer needs lighteval and a hub; its own compute_hashes and file format "
        "were used on our items, its filter is unchanged"
    )
    described = corpora.describe(path)
    title = "Decontamination against 50,000 benchmark items"
    return Claim("decontamination", title, size, described, seen, [row], [note])


if __name__ == "__main__":
    main(claim, __doc__)
