"""Claim: the whole FineWeb recipe, WARC to final Parquet, against datatrove's FineWeb example; what
of our own run is neither HTML extraction nor gzip; and whether time grows in line with the input.

In: the shared crawl, and copies of it with other words. Out: `.bench/results/fineweb.json`.
Shown by: `python -m bench.fineweb --size full`. Limit: datatrove's run of our long input would take
hours; it gets a random part of the same pages, and costs are compared a byte of HTML. The URL
filter is left out of its example, as our recipe has no such step unless lists are given.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from bench import crawls
from bench.corpora import source_data
from bench.harness import (
    ROOT,
    Claim,
    Measurement,
    Row,
    Side,
    growth_row,
    interleave,
    main,
    net,
    peer_python,
    ratio_row,
)

RECIPE = ROOT / "pipelines" / "recipes" / "fineweb.yaml"


def model() -> str:
    """The fastText language model that both sides use."""
    return str(source_data() / "models" / "lid.176.ftz")


def recipe_side(
    name: str,
    paths: list[Path],
    workers: int = 1,
    pinned: bool = True,
    overrides: dict[str, Any] | None = None,
) -> Side:
    """`gristmill run pipelines/recipes/fineweb.yaml` on these files."""
    variables = {"crawl": [str(path) for path in paths], "lid": model(), **(overrides or {})}
    options = {
        "recipe": str(RECIPE),
        "variables": variables,
        "workers": workers,
    }
    job = "bench.sides.gristmill_runs:open_recipe"
    return Side(name, job, options, pinned=pinned and workers == 1)


def extraction_side(name: str, paths: list[Path]) -> Side:
    """Only gzip and HTML extraction of the same pages, by the same code, in one process."""
    options = {"paths": [str(path) for path in paths]}
    return Side(name, "bench.sides.gristmill_extraction:open_job", options)


def _share(whole: Measurement, part: Measurement) -> Row:
    shares = [100 * (1 - p / w) for w, p in zip(whole.seconds, part.seconds, strict=True)]
    return Row(
        "FineWeb recipe: neither extraction nor gzip",
        median(shares),
        min(shares),
        max(shares),
        "% of the run",
        15,
        True,
        f"{whole.median:.0f} s of run, start-up apart",
    )


def claim(size: str, rounds: int) -> Claim:
    """Ours on a long and a short crawl, extraction alone, datatrove on a part; start-ups apart."""
    full = size == "full"
    long_paths = crawls.times(8) if full else crawls.times(1)
    short_paths = crawls.times(2) if full else [crawls.part(1500)]
    # Some page must survive: datatrove's later stages stop where there is no file to read.
    part, few = crawls.part(400 if full else 120), crawls.part(60)
    theirs, peers = "bench.sides.datatrove_fineweb:open_job", peer_python("peers")

    def datatrove(name: str, path: Path) -> Side:
        options = {"warc": str(path), "model": model(), "url_filter": False}
        return Side(name, theirs, options, peers)

    seen = interleave(
        [
            recipe_side("gristmill, long", long_paths),
            extraction_side("extraction and gzip, long", long_paths),
            recipe_side("gristmill, short", short_paths),
            recipe_side("gristmill, part", [part]),
            recipe_side("gristmill start-up", [few]),
            datatrove("datatrove, part", part),
            datatrove("datatrove start-up", few),
        ],
        rounds,
    )
    start = seen["gristmill start-up"]
    ours = net(seen["gristmill, long"], start)
    peer = net(seen["datatrove, part"], seen["datatrove start-up"])
    described = crawls.describe(long_paths)
    base = crawls.describe([few])["bytes"]  # the start-up run has read them too
    share = (crawls.describe([part])["bytes"] - base) / (described["bytes"] - base)
    growth = (described["bytes"] - base) / (crawls.describe(short_paths)["bytes"] - base)
    work = "WARC to final Parquet, FineWeb recipe / datatrove"
    kept = (seen["gristmill, part"].result["rows"], seen["datatrove, part"].result)
    rows = [
        ratio_row(work, peer, ours, 25, "a byte of HTML, start-up apart", scale=1 / share),
        ratio_row(
            f"{work}, the same few pages, start-up included",
            seen["datatrove, part"],
            seen["gristmill, part"],
            detail=f"survivors {kept[0].get('web/final')} and {kept[1]['survivors']}",
        ),
        _share(ours, seen["extraction and gzip, long"]),
        growth_row(
            "FineWeb recipe: time of 4x the pages",
            ours,
            net(seen["gristmill, short"], start),
            growth,
        ),
    ]
    extra = {"kept": {"gristmill": kept[0], "datatrove": kept[1]}}
    title = "The FineWeb recipe, WARC to Parquet, one worker"
    return Claim("fineweb", title, size, described, seen, rows, extra=extra)


if __name__ == "__main__":
    main(claim, __doc__)
