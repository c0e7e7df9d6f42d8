"""Corpora with planted near-duplicates, and what brute force says of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import pyarrow as pa

from gristmill.ids import digest, text_digests
from gristmill.store import Dataset, Store
from gristmill.text.shingles import shingle_hash64, shingles
from tests.make_store import DOCUMENT, put


def page(random_: random.Random, words: int = 80) -> str:
    return " ".join(f"w{random_.randrange(5000)}" for _ in range(words))


def edited(text: str, random_: random.Random, share: float) -> str:
    """The text with a share of its words replaced."""
    words = text.split()
    return " ".join(f"x{random_.random()}" if random_.random() < share else w for w in words)


def planted(seed: int, pages: int = 60) -> list[str]:
    """Pages, many with exact copies and edited copies of several strengths, shuffled."""
    random_ = random.Random(seed)
    texts = []
    for _ in range(pages):
        original = page(random_)
        texts.append(original)
        for _ in range(random_.choice([0, 0, 1, 2, 3])):
            texts.append(edited(original, random_, random_.choice([0, 0.005, 0.01, 0.02, 0.06])))
    random_.shuffle(texts)
    return texts


def documents(
    texts: Sequence[str | None], prefix: str = "d", **columns: Sequence[object]
) -> pa.Table:
    """Documents `d0`, `d1`, … of one host each seven; any column may be given."""
    count = len(texts)
    table = {
        "id": [f"{prefix}{n}" for n in range(count)],
        "text": list(texts),
        "url": [f"https://host{n % 7}.example/{prefix}{n}" for n in range(count)],
        "date": ["2026-01-01"] * count,
        "source": ["crawl"] * count,
        "text_digest": text_digests(texts),
        "language": ["en"] * count,
        "language_score": [0.9] * count,
    }
    known = {name: values for name, values in columns.items() if name in table}
    out = pa.table({**table, **known}, DOCUMENT)
    for name, values in columns.items():
        if name not in table:
            out = out.append_column(name, pa.array(values))
    return out


def put_texts(store: Store, name: str, table: pa.Table, rows_a_shard: int = 50) -> Dataset:
    starts = range(0, max(table.num_rows, 1), rows_a_shard)
    shards = [table.slice(start, rows_a_shard) for start in starts]
    asked = digest([rows_a_shard, table["id"].to_pylist(), table["text"].to_pylist()])
    return put(store, name, {"": ("document", shards)}, fingerprint=asked)


def jaccard(first: str, second: str, ngram: int = 5) -> float:
    """Exact Jaccard of unique shingle sets, in plain Python."""
    a, b = ({shingle_hash64(s) for s in shingles(text, ngram)} for text in (first, second))
    return len(a & b) / len(a | b) if a | b else 0.0


def similar_pairs(texts: Sequence[str], threshold: float) -> dict[tuple[int, int], float]:
    """Every pair at or above the threshold, by brute force."""
    sets = [set(shingles(text)) for text in texts]
    found = {}
    for i, j in combinations(range(len(texts)), 2):
        union = len(sets[i] | sets[j])
        if union and (similarity := len(sets[i] & sets[j]) / union) >= threshold:
            found[i, j] = similarity
    return found
