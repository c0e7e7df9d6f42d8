"""Claim: a plan's packed batches against Hugging Face datasets, Megatron and nanotron's route.

In: four sources of random tokens with lengths like those of web pages, in a mapped store. Out:
`.bench/results/plan.json`. Shown by: `python -m bench.plan --size full`. Limit: all files are in
memory; every side but ours is spared something, named in the docstring of its file.

All sides give batches of 8 rows of 2,048 tokens as torch tensors through a DataLoader without
workers, on one core. Then a plan over 10^9 rows is opened, and gone on with at any position.
"""

from __future__ import annotations

import random
from statistics import median

from bench.harness import (
    BenchError,
    Claim,
    Measurement,
    Row,
    Side,
    SideProcess,
    interleave,
    main,
    peer_python,
    ratio_row,
)
from bench.token_store import BATCH, HUGE_ROWS, SEQ, SHARES, huge_store, token_store

OPENINGS = 5


def sides(size: str) -> list[Side]:
    """Ours twice, the peers; slow ones take fewer tokens a round."""
    path = token_store(64_000_000 if size == "full" else 4_000_000)
    fast, slow = (40, 2) if size == "full" else (2, 1)
    shape = {"shares": SHARES, "seq": SEQ, "batch": BATCH}
    ours, indexes = "bench.sides.gristmill_plan:open_plan_batches", "bench.sides.index_loaders"
    hf = {"path": str(path / "datasets"), **shape}
    megatron = {"path": str(path / "megatron"), **shape}
    store = {"path": str(path / "store"), "batch": BATCH, "millions": fast}
    made = [
        Side("gristmill", ours, {**store, "way": "micro-batches"}),
        Side("gristmill, rows", ours, {**store, "way": "rows"}),
    ]
    for way, millions in (("lists", slow), ("arrays", slow)):
        options = {**hf, "way": way, "millions": millions}
        made.append(Side(f"datasets, {way}", "bench.sides.hf_interleave:open_interleave", options))
    try:
        python = peer_python("readers")
    except BenchError:
        return made
    for name, resets in (("megatron", False), ("megatron, documents apart", True)):
        options = {**megatron, "resets": resets, "millions": fast // 4 or 1}
        made.append(Side(name, f"{indexes}:open_megatron", options, python))
    options = {"path": str(path / "datatrove"), **shape, "millions": fast // 2}
    made.append(Side("nanotron's route", f"{indexes}:open_nanotron", options, python))
    return made


def opening(rounds: int) -> tuple[Measurement, list[Row]]:
    """A fresh process each time: seconds from a state to its first row, and all its memory."""
    path, draw = str(huge_store()), random.Random(0)
    seen = Measurement("open 10^9 rows", 0.0, 0.0, 0.0, {}, "")
    found = []
    for _ in range(rounds):
        positions = [draw.randrange(HUGE_ROWS) for _ in range(20)]
        options = {"path": path, "positions": positions}
        process = SideProcess(Side(seen.side, "bench.sides.gristmill_plan:open_huge", options), 0)
        try:
            answer = process.run()
        finally:
            process.close()
        found.append(answer["result"])
        seen.seconds.append(answer["seconds"])
        seen.packages = process.ready["packages"]
        seen.import_s = process.ready["import_s"] + process.ready["load_s"]
    seen.result, seen.peak_rss_mb = found[-1], max(one["all_mb"] for one in found)
    detail = "open, resume at a random position, read its row; a fresh process each time"
    rows = [_most("a plan of 10^9 rows, opened and resumed", seen.seconds, "s", 1.0, detail)]
    others = [one["slowest_other_s"] for one in found]
    rows.append(_most("the slowest of 19 more random rows", others, "s", 1.0, ""))
    first = [one["first_mb"] for one in found]
    base = max(one["imports_mb"] for one in found)
    own = max(one["own_mb"] for one in found)
    memory = f"after the first row; {base:.0f} MB after the imports; without files' pages {own:.0f}"
    rows.append(_most("a plan of 10^9 rows, memory of its process", first, "MB", 200, memory))
    return seen, rows


def _most(work: str, values: list[float], unit: str, target: float, detail: str) -> Row:
    return Row(work, median(values), min(values), max(values), unit, target, True, detail)


def _rate(seen: Measurement) -> Row:
    """Millions of tokens a second."""
    rates = sorted(1 / seconds for seconds in seen.seconds)
    middle = 1 / seen.median
    work = f"tokens in packed batches, {seen.side}"
    return Row(work, middle, rates[0], rates[-1], "M tokens/s", 10, False, "one core")


def claim(size: str, rounds: int) -> Claim:
    """Rates in turns; then the openings."""
    seen = interleave(sides(size), rounds)
    ours = seen["gristmill"]
    work = "packed batches"
    rows = [_rate(ours), _rate(seen["gristmill, rows"])]
    targets = {
        "datasets, lists": (20, "interleave_datasets, then joined and cut in a map"),
        "datasets, arrays": (None, "the same with numpy arrays"),
        "megatron": (2, "BlendedDataset of GPTDatasets, positions 0 to 2,047"),
        "megatron, documents apart": (None, "reset_position_ids, eod_mask_loss: what ours gives"),
        "nanotron's route": (2, "index + datatrove's folder dataset, positions 0 to 2,047"),
    }
    for name, (target, detail) in targets.items():
        if name in seen:
            rows.append(ratio_row(f"{work} / {name}", seen[name], ours, target, detail))
    notes = [] if "megatron" in seen else ["no environment `readers`: Megatron, nanotron left out"]
    opened, more = opening(OPENINGS if size == "full" else 2)
    described = {"name": "random tokens, four sources", "documents": 0, "bytes": 0}
    return Claim(
        "plan",
        "Packed batches of 8 x 2,048 from a mapped store, one core; seconds a million tokens",
        size,
        described,
        {**seen, opened.side: opened},
        rows + more,
        notes,
    )


if __name__ == "__main__":
    main(claim, __doc__)
