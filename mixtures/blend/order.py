"""Orders: which document of a source comes at which place of which epoch.

In: a source's documents, an order, a seed. Out: a feed that a packer draws from.
Shown by: `order: shuffle`, `order: {by: score}` or `order: in_context` of a mixture.
Limit: an order by a column or by neighbours is the same in every epoch.

Shuffling needs no table: the place in an epoch is sent through a keyed permutation of its own
(seed, source's name, epoch), so any stretch of any epoch is found without the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gristmill.mapped import Tokens
from gristmill.rng import derive_seed, permutation

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]

WARNING = (
    "is read in the order of {column!r}: under a decaying learning rate what comes last is wasted "
    "(arXiv 2511.18903: an order pays at a constant rate, with averaged checkpoints); train with a "
    "constant or WSD schedule and say so: `order: {{by: {column}, trainer: wsd}}`"
)
SCATTERED = (
    "pack {pack} brings the documents of a window of {window:,} into any order, so an order by "
    "{column!r} holds from window to window; concat, greedy and one_per_row keep it"
)


class Feed:
    """Documents of one source, epoch after epoch: what `mixtures.packing.Packer` draws from."""

    def __init__(
        self, tokens: Tokens, rows: I64 | None, count: int, seed: int, name: str, shuffle: bool
    ) -> None:
        self._tokens, self._rows, self.count = tokens, rows, count
        self.seed = derive_seed(seed, "mixture", name)
        self._shuffle = shuffle
        self.documents = 0  # handed out so far
        self.tokens = 0

    def __call__(self, epoch: int, first: int, count: int) -> tuple[I64, I32]:
        """Documents first .. first + count of an epoch: int64[n] row numbers, int32[n] lengths."""
        places = np.arange(first, min(first + count, self.count), dtype=np.int64)
        if self._shuffle and len(places):
            places = permutation(derive_seed(self.seed, "epoch", epoch), self.count, places)
        documents = places if self._rows is None else np.asarray(self._rows[places], np.int64)
        lengths = self._tokens.take_counts(documents).astype(np.int32, copy=False)
        self.documents += len(documents)
        self.tokens += int(lengths.sum(dtype=np.int64))
        return documents, lengths
