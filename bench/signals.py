"""Claim: all signals and rule decisions against datatrove's four filters and dolma's taggers.

In: random pages of the shared crawl, as text in memory. Out: `.bench/results/signals.json`.
Shown by: `python -m bench.signals --size full`. Limit: the headline lets every filter judge every
document, as our pass does; datatrove's users chain filters, so a document that one drops costs the
next nothing: that ratio stands beside it.
"""

from __future__ import annotations

from bench import corpora
from bench.harness import Claim, Row, Side, interleave, main, peer_python, ratio_row


def claim(size: str, rounds: int) -> Claim:
    """Five sides; ours also on the whole crawl and on other kinds of text, for the rate."""
    full = size == "full"
    path = corpora.sample(corpora.web(), 3 if full else 0.5)
    options, peers = {"path": str(path)}, peer_python("peers")
    ours = "bench.sides.gristmill_text:open_signals"
    theirs = "bench.sides.datatrove_filters:open_job"
    crawl = corpora.web() if full else path
    sets = corpora.sets() if full else corpora.sample(corpora.sets(), 2)
    sizes = {source: corpora.describe(source)["bytes"] for source in (crawl, sets)}
    seen = interleave(
        [
            Side("gristmill", ours, options),
            Side("gristmill, whole crawl", ours, {"path": str(crawl)}, bytes=sizes[crawl]),
            Side("gristmill, text sets", ours, {"path": str(sets)}, bytes=sizes[sets]),
            Side("datatrove, each", theirs, {**options, "mode": "each"}, peers),
            Side("datatrove, chain", theirs, {**options, "mode": "chain"}, peers),
            Side("dolma", "bench.sides.dolma_taggers:open_job", options, peer_python("dolma")),
        ],
        rounds,
    )
    work, mine = "all signals and rule decisions", seen["gristmill"]
    rows = [
        ratio_row(f"{work} / datatrove", seen["datatrove, each"], mine, 300, "every filter"),
        ratio_row(f"{work} / datatrove's chain", seen["datatrove, chain"], mine),
        ratio_row(f"{work} / dolma", seen["dolma"], mine, 80, "gopher_v2 and c4_v2"),
    ]
    for name in ("gristmill, whole crawl", "gristmill, text sets"):
        rates = sorted(seen[name].bytes / seconds / 1e6 for seconds in seen[name].seconds)
        target = 200 if name.endswith("crawl") else None
        middle = rates[len(rates) // 2]
        rows.append(Row(f"{work}, {name[11:]}", middle, rates[0], rates[-1], "MB/s", target))
    described = corpora.describe(path)
    return Claim("signals", "Signals and rule decisions", size, described, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
