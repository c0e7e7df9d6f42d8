"""Signatures are datasketch's, bit for bit; sets and digests are what their names say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.text.minhash import (
    band_keys,
    match_probability,
    minhash_signatures,
    permutations,
    sketch,
)
from gristmill.text.shingles import BLOCK, shingle_hash, shingle_hash64, shingle_sets, shingles

# words of several scripts, repeats likely, and anything at all
WORDS = st.sampled_from(["the", "Mill", "été", "Straße", "水", "รส", "123", "a\u00adb", "🙂", "-"])
TEXTS = st.one_of(
    st.text(max_size=80), st.lists(WORDS, max_size=60).map(" ".join), st.just("\x00 \x01")
)


def datasketch_row(text: str, num_perm: int, seed: int, ngram: int) -> np.ndarray:
    minhash = MinHash(num_perm, seed, scheme="affine32", hashfunc=shingle_hash)
    minhash.update_batch(shingles(text, ngram))
    return minhash.hashvalues


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from([(112, 1, 5), (20, 42, 2)]))
def test_signatures_equal_datasketch(texts: list[str], options: tuple[int, int, int]) -> None:
    num_perm, seed, ngram = options
    made = minhash_signatures(pa.array(texts), num_perm, seed, ngram)
    expected = np.array([datasketch_row(text, num_perm, seed, ngram) for text in texts])
    assert made.dtype == np.uint32
    assert (made == expected).all()


@pytest.mark.parametrize("words", [BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 4, 3 * BLOCK + 7])
def test_signatures_equal_datasketch_across_blocks(words: int) -> None:
    text = " ".join(f"w{i * i % 977}" for i in range(words))
    made = minhash_signatures(pa.array([text, None, text]))
    assert (made[0] == datasketch_row(text, 112, 1, 5)).all()
    assert (made[2] == made[0]).all()
    assert (made[1] == 0xFFFFFFFF).all()


@pytest.mark.parametrize(("num_perm", "seed"), [(1, 0), (112, 1), (128, 7), (256, 2**32 - 1)])
def test_permutations_are_drawn_as_datasketch_draws_them(num_perm: int, seed: int) -> None:
    expected = MinHash(num_perm, seed, scheme="affine32").permutations
    assert (np.array(permutations(num_perm, seed)) == expected).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=6), st.integers(1, 6))
def test_sets_hold_the_unique_shingles(texts: list[str], ngram: int) -> None:
    values, bounds = shingle_sets(pa.array(texts, pa.string()), ngram)
    assert len(bounds) == len(texts) + 1
    for i, text in enumerate(texts):
        expected = sorted({shingle_hash64(shingle) for shingle in shingles(text, ngram)})
        assert values[bounds[i] : bounds[i + 1]].tolist() == expected


def test_sets_of_one_long_repetitive_text() -> None:
    text = " ".join(["mill stone"] * 40_000 + [f"w{i}" for i in range(30_000)])
    values, bounds = shingle_sets(pa.array([text]))
    assert bounds[1] == len(values) == len(set(shingles(text)))
    assert (np.diff(values.astype(object)) > 0).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_digests_agree_exactly_for_the_same_shingles(texts: list[str]) -> None:
    made = sketch(pa.array(texts))
    bags = [sorted(shingles(text)) for text in texts]
    assert made.counts.tolist() == [len(bag) for bag in bags]
    for i, first in enumerate(bags):
        for j, second in enumerate(bags):
            assert (made.digests[i] == made.digests[j]).all() == (first == second)


def test_short_texts_have_one_shingle_and_empty_ones_none() -> None:
    assert shingles("Grist, mill!") == [b"grist mill"]
    made = sketch(pa.array(["grist MILL", "grist mill.", "", None, "…"]))
    assert made.counts.tolist() == [1, 1, 0, 0, 0]
    assert (made.signatures[0] == made.signatures[1]).all()


def test_bands_meet_as_the_formula_predicts() -> None:
    random = np.random.default_rng(0)
    for similarity in (0.6, 0.7, 0.8):
        a = random.integers(0, 2**32, (4000, 112), dtype=np.uint32)
        b = np.where(random.random(a.shape) < similarity, a, a + np.uint32(1))
        met = (band_keys(a, 14, 8) == band_keys(b, 14, 8)).any(axis=1).mean()
        assert met == pytest.approx(match_probability(similarity, 14, 8), abs=0.03)


def test_published_band_probabilities() -> None:
    # FineWeb's 14 bands of 8 rows: 50 % at .685, .565 at .7, .924 at .8
    assert match_probability(0.685, 14, 8) == pytest.approx(0.5, abs=0.005)
    assert match_probability(0.7, 14, 8) == pytest.approx(0.565, abs=0.001)
    assert match_probability(0.8, 14, 8) == pytest.approx(0.924, abs=0.001)


def test_estimates_follow_jaccard() -> None:
    shared = [f"s{i}" for i in range(3000)]
    first, second = shared + [f"a{i}" for i in range(500)], shared + [f"b{i}" for i in range(500)]
    texts = [" ".join(words) for words in (first, second)]
    values, bounds = shingle_sets(pa.array(texts))
    one, two = set(values[: bounds[1]].tolist()), set(values[bounds[1] :].tolist())
    jaccard = len(one & two) / len(one | two)
    made = minhash_signatures(pa.array(texts), 1024)
    assert (made[0] == made[1]).mean() == pytest.approx(jaccard, abs=0.05)
