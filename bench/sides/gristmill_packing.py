"""Gristmill's packing of documents of given lengths, one epoch a pass.

In: an .npy of lengths. Out: rows as pieces of documents or, with `gather`, rows of tokens in
memory; the account. Shown by: `python -m bench.packing`. Limit: `gather` copies from an array in
memory, not from a store.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from bench.worker import Job
from mixtures.packing import METHODS, Account, Packed, Packer

SEED = 7


@njit(cache=True)
def _gather(tokens, starts, pieces, document, offset, length, rows):  # type: ignore[no-untyped-def]
    """Tokens of each piece, side by side; rows end in zeros."""
    piece = 0
    for row in range(len(pieces)):
        place = 0
        for _ in range(pieces[row]):
            first, count = starts[document[piece]] + offset[piece], length[piece]
            rows[row, place : place + count] = tokens[first : first + count]
            place += count
            piece += 1


def _epoch(lengths: np.ndarray, method: str, seq: int, tokens: np.ndarray | None) -> Account:
    """All documents once; the account at the end."""
    starts = np.cumsum(lengths, dtype=np.int64) - lengths

    def documents(epoch: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(first, first + count), lengths[first : first + count]

    def gather(packed: Packed) -> np.ndarray:
        rows = np.zeros((len(packed.pieces), seq), np.int32)
        pieces = packed.pieces, packed.document, packed.offset, packed.length
        _gather(tokens, starts, *pieces, rows)
        return rows

    packer = Packer(method, documents, len(lengths), SEED)
    for packed in packer.rows(2**62, seq):
        if tokens is not None:
            gather(packed)
        account = packer.account()
        if account.documents_drawn == len(lengths) and not account.carried:
            return account
    raise AssertionError("rows do not end")


def ledger(account: Account) -> dict[str, Any]:
    """Shares of the tokens drawn; padding as a share of the rows."""
    shares = {name: getattr(account, name) / account.drawn for name in ("kept_whole", "kept_split")}
    lost = {"dropped": account.dropped / account.drawn, "padding": 1 - account.fill}
    return {**shares, **lost, "rows": account.rows}


def open_packing(path: str, seq: int, gather: bool = False, passes: int = 8) -> Job:
    """Best fit over the whole file."""
    lengths = np.load(path)
    tokens = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths) if gather else None

    def run() -> dict[str, Any]:
        for _ in range(passes):
            account = _epoch(lengths, "best_fit", seq, tokens)
        return ledger(account)

    return Job(run=run, passes=passes, packages=["numba", "numpy"])


def open_methods(paths: dict[str, str], seqs: list[int]) -> Job:
    """Every method: tokens a second and ledger by "NAME METHOD SEQ"."""
    files = {name: np.load(path) for name, path in paths.items()}

    def run() -> dict[str, Any]:
        found = {}
        for name, lengths in files.items():
            for method in METHODS:
                for seq in seqs:
                    begin = time.perf_counter()
                    account = _epoch(lengths, method, seq, None)
                    seconds = time.perf_counter() - begin
                    rate = {"tokens_per_s": account.drawn / seconds}
                    found[f"{name} {method} {seq}"] = {**ledger(account), **rate}
        return found

    return Job(run=run, packages=["numba", "numpy"])
