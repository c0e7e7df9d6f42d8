"""Seeds and permutations derived from the recipe's seed: same recipe, same draws, any worker count.

In: a seed and the names of what is drawn. Out: 64-bit seeds, keyed uniform numbers, bijections.
Shown by: `python -c "from gristmill.rng import derive_seed; print(derive_seed(0, 'sample'))"`.
Limit: the permutation is a statistical shuffle, not a cipher.
"""

from __future__ import annotations

import hashlib

import numpy as np

_U64 = np.uint64


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. `derive_seed(recipe.seed, step.name, row_id)`."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def mix64(values: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser (Steele et al. 2014): uint64[n] -> uint64[n], a bijection."""
    with np.errstate(over="ignore"):
        z = values.astype(_U64) + _U64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> _U64(27))) * _U64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> _U64(31)))


def keyed_uniform(seed: int, keys: np.ndarray) -> np.ndarray:
    """float64[n] in [0, 1): a pure function of (seed, key), so draws survive any re-sharding."""
    mixed = mix64(mix64(keys) ^ _U64(seed))
    return np.asarray((mixed >> _U64(11)).astype(np.float64) / float(1 << 53))


def permutation(seed: int, size: int, index: np.ndarray) -> np.ndarray:
    """int64[n] -> int64[n]: a keyed bijection of range(size), evaluated only where asked.

    Four Feistel rounds over the next even power of two, walked until inside the range.
    """
    if size <= 0:
        raise ValueError(f"size is {size}; a permutation needs at least one element")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = _U64((1 << half) - 1)
    out = np.asarray(index).astype(_U64)
    if out.size and int(out.max()) >= size:
        raise ValueError(f"index {int(out.max())} is outside range({size})")
    keys = [_U64(derive_seed(seed, "feistel", i)) for i in range(4)]
    todo = np.ones(out.shape, bool)
    while todo.any():
        left, right = out[todo] >> _U64(half), out[todo] & mask
        for key in keys:
            left, right = right, left ^ (mix64(right ^ key) & mask)
        out[todo] = (left << _U64(half)) | right
        todo = out >= _U64(size)
    return out.astype(np.int64)
