"""The global cut equals a sort, with many ties, and whatever way the scores lie in shards."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from gristmill.text.fingerprints import text_fingerprints
from synth.ops import parse_op
from synth.select import top
from synth.select.top import F64, Cut, Shards, chosen, kth, ranked, score_of, threshold
from tests.synth.by_hand import lost, row, samples, score

Bools = npt.NDArray[np.bool_]
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, float("nan"), 5e-324, -5e-324]),
)


def in_shards(scores: F64, cuts: list[int]) -> Shards:
    ids = pa.array([f"{number:032x}" for number in range(len(scores))], pa.string())
    bounds = [0, *sorted(min(cut, len(scores)) for cut in cuts), len(scores)]
    return [(scores[a:b], ids[a:b]) for a, b in pairwise(bounds)]


def taken(shards: Shards, cut: Cut | None) -> Bools:
    if cut is None:
        return np.zeros(sum(len(scores) for scores, _ in shards), np.bool_)
    return np.concatenate([chosen(scores, ids, cut) for scores, ids in shards])


def expected(scores: F64, wanted: int, lowest: bool) -> Bools:
    ids = in_shards(scores, [])[0][1]
    signed = scores if lowest else -scores
    order = np.lexsort((text_fingerprints(ids)[:, 0], signed))  # NaN is last
    mask = np.zeros(len(scores), np.bool_)
    mask[order[:wanted]] = True
    return mask & ~np.isnan(scores)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(numbers, max_size=60),
    st.lists(st.integers(0, 60), max_size=3),
    st.integers(1, 20),
    st.booleans(),
)
def test_the_cut_equals_a_sort(
    values: list[float], cuts: list[int], percent: int, lowest: bool
) -> None:
    scores = np.array(values, np.float64)
    shards = in_shards(scores, cuts)
    wanted = ceil(Fraction(5 * percent, 100) * int(np.count_nonzero(~np.isnan(scores))))
    cut = threshold(shards, fraction=5 * percent / 100, lowest=lowest)
    mask = taken(shards, cut)
    assert (cut.kept if cut else 0) == wanted == int(mask.sum())
    assert mask.tolist() == expected(scores, wanted, lowest).tolist()


@pytest.mark.parametrize("gathered", [1 << 22, 100, 0])
@pytest.mark.parametrize("kind", ["ties", "normal", "close"])
def test_bounded_memory_gives_the_same_cut(
    gathered: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "GATHERED", gathered)
    rng = np.random.default_rng(11)
    scores: F64 = {
        "ties": rng.integers(-3, 4, 20_000).astype(np.float64),
        "normal": rng.normal(size=20_000),
        "close": 1 + rng.integers(0, 50, 20_000) * 2.0**-52,
    }[kind]
    shards = in_shards(scores, [137, 5000, 5000, 19_000])
    for fraction in (0.001, 0.1, 0.5, 1):
        cut = threshold(shards, fraction=fraction)
        wanted = ceil(Fraction(str(fraction)) * len(scores))
        assert taken(shards, cut).tolist() == expected(scores, wanted, False).tolist()


def test_ids_of_one_hash_are_told_apart_by_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "id_hashes", lambda ids: np.zeros(len(ids), np.uint64))
    shards = in_shards(np.ones(10), [4])
    assert taken(shards, threshold(shards, count=3)).tolist() == [True] * 3 + [False] * 7


def test_a_share_is_no_victim_of_binary_fractions() -> None:
    shards = in_shards(np.arange(30.0), [])
    cut = threshold(shards, fraction=0.1)  # 0.1 * 30 is a little more than 3
    assert cut is not None and cut.kept == 3 and cut.score == 27
    assert threshold(shards, count=100).kept == 30  # type: ignore[union-attr]
    assert threshold(in_shards(np.full(3, np.nan, np.float64), []), fraction=0.5) is None


def test_ranks_keep_the_order_of_floats() -> None:
    values = np.array([np.inf, 1e300, 1.0, 5e-324, 0.0, -5e-324, -1.0, -np.inf])
    assert (np.diff(ranked(values, False).astype(object)) > 0).all()
    assert (np.diff(ranked(values, True).astype(object)) < 0).all()
    assert ranked(np.array([-0.0]), False) == ranked(np.array([0.0]), False)
    for lowest in (False, True):
        assert [score_of(rank, lowest) for rank in ranked(values, lowest)] == values.tolist()


def test_kth_counts_what_is_smaller() -> None:
    values = [np.array(block, np.uint64) for block in ([5, 1, 1], [], [2**64 - 1, 1])]
    assert [(int(a), b) for a, b in (kth(lambda: values, n) for n in range(1, 6))] == [
        (1, 0), (1, 0), (1, 0), (5, 3), (2**64 - 1, 4),
    ]  # fmt: skip


def test_in_a_flow_it_lets_scores_through() -> None:
    of = row()
    items = samples({"quality": 0.5}, {"quality": None}, {"quality": float("nan")})
    assert score({"select": {"top": {"by": "quality", "fraction": 0.1}}}, items, of) == items[:1]
    assert lost(of) == [("select.top", "missing")] * 2
    for wrong in ({}, {"fraction": 0.5, "count": 3}):
        with pytest.raises(RecipeError, match="`fraction` or `count`"):
            parse_op({"select": {"top": {"by": "quality", **wrong}}})
