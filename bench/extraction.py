"""Claim: HTML to text by resiliparse, our default, against trafilatura, FineWeb's extractor.

In: random pages of the shared crawl, decoded. Out: `.bench/results/extraction.json`.
Shown by: `python -m bench.extraction --size full`. Limit: speed only; `bench.extraction_quality`
says what each keeps of the gold pages.
"""

from __future__ import annotations

from bench import crawls
from bench.harness import Claim, Side, interleave, main, ratio_row


def claim(size: str, rounds: int) -> Claim:
    """Two libraries, same pages, one process each."""
    part = crawls.part(400 if size == "full" else 60)
    options = {"warc": str(part)}
    seen = interleave(
        [
            Side("resiliparse", "bench.sides.extractors:open_resiliparse", options),
            Side("trafilatura", "bench.sides.extractors:open_trafilatura", options),
        ],
        rounds,
    )
    rows = [ratio_row("HTML to text / trafilatura", seen["trafilatura"], seen["resiliparse"])]
    described = crawls.describe([part])
    return Claim("extraction", "HTML extraction", size, described, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
