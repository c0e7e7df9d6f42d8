"""Every export read back with the trainer's own reader: the same tokens, masks and boundaries?

In: `--store STORE NAME …`, token datasets and mixtures; by default a small store of random tokens
with empty documents, loss masks, wide and narrow ids, and rows of two lengths. Out: a table,
`.bench/exports.json`, and exit code 1 where anything differs.
Shown by: `python -m bench.exports`. Limit: datatrove's reader knows no masks and drops what is left
of a file behind its last whole window; Megatron's knows no masks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench import environments
from bench.harness import BENCH, ROOT, BenchError, peer_python
from bench.sides.export_readers import READERS, WINDOW
from gristmill.store import Dataset, Store
from mixtures.export.run import export
from mixtures.plan import open_plan

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """One export and what its reader made of it; None: the reader does not tell."""

    format: str
    dataset: str
    what: str
    reader: str
    sequences: int
    tokens: int
    tokens_equal: bool
    mask_equal: bool | None
    boundaries_equal: bool | None

    @property
    def good(self) -> bool:
        return False not in (self.tokens_equal, self.mask_equal, self.boundaries_equal)


def expected(dataset: Dataset, what: str) -> Iterator[Arrays]:
    """The sequences of a version one by one, from its Parquet files or its plan."""
    if dataset.manifest["kind"] == "tokens":
        for number, row in enumerate(dataset.to_table().to_pylist()):
            if row["count"]:
                width = len(row["tokens"]) // row["count"]
                tokens = np.frombuffer(row["tokens"], f"<u{width}").astype(np.int64)
                mask = np.frombuffer(row.get("loss_mask", b"\1" * row["count"]), bool)
                spans = np.array([row["count"]])
                yield {"tokens": tokens, "mask": mask, "spans": spans, "number": number}
        return
    plan = open_plan(dataset.store, dataset.ref)
    for number in range(len(plan)):
        row, spans = plan[number], plan.spans([number])[1]
        tokens, mask = row["input_ids"], row["labels"] != -100
        if what == "rows":
            yield {"tokens": tokens, "mask": mask, "spans": spans, "number": number}
            continue
        for stop, size in zip(np.cumsum(spans), spans, strict=True):
            piece = slice(stop - size, stop)
            one = np.array([size])
            yield {"tokens": tokens[piece], "mask": mask[piece], "spans": one, "number": number}


def check(dataset: Dataset, to: str, what: str, folder: Path) -> Checked:
    """Export, read with the real reader, compare."""
    about = export(dataset, to, folder / "export", what, file_bytes=40_000)
    target = folder / "read.npz"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [str(peer_python("readers")), "-m", "bench.sides.export_readers"]
    done = subprocess.run(
        [*command, str(folder / "export"), str(target)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BenchError(f"{to} of {dataset.ref}: its reader failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout)
    read, wanted = dict(np.load(target)), list(expected(dataset, what))
    if to == "datatrove":
        wanted = windows(wanted, about["files"])
    return Checked(
        to,
        dataset.ref,
        what,
        f"{said['reader']} {said['version']}",
        len(read["lengths"]),
        len(read["tokens"]),
        _same(read["tokens"], wanted, "tokens"),
        _same(read["mask"], wanted, "mask") if "mask" in read else None,
        _boundaries(read, wanted, what),
    )


def windows(wanted: list[Arrays], files: list[dict[str, Any]]) -> list[Arrays]:
    """What windows over each file's tokens hold; positions begin again at each piece."""
    left, found = iter(wanted), []
    for file in files:
        mine = [next(left) for _ in range(file["sequences"])]
        tokens = np.concatenate([one["tokens"] for one in mine])
        positions = np.concatenate([_positions(one) for one in mine])
        size = file["seq"] or WINDOW
        for first in range(0, len(tokens) - size + 1, size):
            window = slice(first, first + size)
            inside = positions[window].copy()
            begun = int(np.argmax(inside == 0)) if (inside == 0).any() else size
            inside[:begun] -= inside[0]  # the reader counts from the window's first token
            found.append({"tokens": tokens[window], "positions": inside})
    return found


def _positions(one: Arrays) -> Any:
    padding = len(one["tokens"]) - int(one["spans"].sum())
    return np.concatenate([np.arange(size) for size in (*one["spans"].tolist(), padding)])


def _boundaries(read: Arrays, wanted: list[Arrays], what: str) -> bool | None:
    """Whether sequences and their pieces end where they should, as far as the reader tells."""
    if read["lengths"].tolist() != [len(one["tokens"]) for one in wanted]:
        return False
    told = [name for name in ("positions", "spans", "number") if name in read]
    if not told and what == "rows":
        return None  # rows are where they should be, their pieces are not told
    return all(_same(read[name], wanted, name) for name in told)


def _same(read: Any, wanted: list[Arrays], name: str) -> bool:
    return bool(np.array_equal(read, np.concatenate([np.atleast_1d(one[name]) for one in wanted])))


def random_store(path: Path) -> list[Dataset]:
    """Token datasets of 2 and 4 bytes a token, one with masks, and a mixture of them."""
    from tests.mixtures.make_plan import make_plan

    plan = make_plan(path, mask=True)
    store = Store(path)
    return [store[name] for name in ("tokens/a", "tokens/b", plan.mixture.partition("@")[0])]


def main() -> int:
    """Check all formats of all datasets; 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="datasets of --store")
    parser.add_argument("--store", default="store")
    parser.add_argument("--size", help="as other claims have it; there is one size")
    arguments = parser.parse_args()
    if (made := environments.make("readers")).startswith("failed"):
        print(f"readers: {made}", file=sys.stderr)
        return 1
    BENCH.mkdir(exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory(dir=BENCH) as scratch:
        named = [Store(arguments.store)[name] for name in arguments.names]
        for dataset in named or random_store(Path(scratch) / "store"):
            packed = dataset.manifest["kind"] == "packed"
            for to, what in product(READERS, ("rows", "documents")[not packed :]):
                with tempfile.TemporaryDirectory(dir=scratch) as folder:
                    rows.append(check(dataset, to, what, Path(folder)))
                print(_line(rows[-1]), flush=True)
    text = json.dumps([asdict(row) for row in rows], indent=1)
    (BENCH / "exports.json").write_text(text + "\n")
    return int(not all(row.good for row in rows))


def _line(row: Checked) -> str:
    answers = {True: "equal", False: "DIFFERENT", None: "not told"}
    return (
        f"{row.format:10} {row.what:10} {row.dataset:24} {row.reader:26} "
        f"{row.sequences:7,} sequences {row.tokens:9,} tokens {answers[row.tokens_equal]}, "
        f"mask {answers[row.mask_equal]}, boundaries {answers[row.boundaries_equal]}"
    )


if __name__ == "__main__":
    sys.exit(main())
