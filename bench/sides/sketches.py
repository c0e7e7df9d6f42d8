"""datasketch's and rensa's MinHash of 5-word shingles, each by the fastest path it documents.

In: a JSONL corpus. Out: signatures, 112 permutations. Shown by: `python -m bench.signatures`.
Limit: words are `\\w+` runs of the lower-cased text (`split="regex"`) or, cheaper and unlike ours,
whitespace-separated (`split="space"`); ours splits CJK and South-East Asian scripts too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from bench.sides.documents import texts
from bench.worker import Job

PERMUTATIONS = 112
WIDTH = 5
_WORDS = re.compile(r"\w+").findall


def _words(split: str) -> Callable[[str], list[str]]:
    if split == "regex":
        return lambda text: _WORDS(text.lower())
    return lambda text: text.lower().split()


def _shingles(text: str, words_of: Callable[[str], list[str]]) -> list[str]:
    words = words_of(text)
    if len(words) < WIDTH:
        return [" ".join(words)] if words else []
    return list(map(" ".join, zip(*(words[i:] for i in range(WIDTH)), strict=False)))


def open_datasketch(path: str, split: str = "regex") -> Job:
    """`MinHash.bulk` over encoded shingles, default scheme (affine32) and default hash."""
    from datasketch import MinHash

    loaded, words_of = texts(path), _words(split)

    def encoded() -> Iterator[list[bytes]]:
        for text in loaded:
            yield [shingle.encode() for shingle in _shingles(text, words_of)]

    def run() -> dict[str, Any]:
        sketches = MinHash.bulk(encoded(), num_perm=PERMUTATIONS, seed=1)
        return {"documents": len(sketches), "check": int(sketches[0].hashvalues[0])}

    return Job(run=run, packages=["datasketch"])


def open_rensa(path: str, split: str = "regex", way: str = "matrix") -> Job:
    """`matrix`: the bulk call over shingles; `words`: over plain words, without shingling."""
    from rensa import RMinHash

    loaded, words_of = texts(path), _words(split)

    def run() -> dict[str, Any]:
        if way == "words":  # less work than asked for: an upper bound of what rensa can do
            sets = [words_of(text) for text in loaded]
        else:
            sets = [_shingles(text, words_of) for text in loaded]
        matrix = RMinHash.digest_matrix_from_token_sets(sets, PERMUTATIONS, 1)
        return {"documents": len(loaded), "type": type(matrix).__name__}

    return Job(run=run, packages=["rensa"])
