"""Packing: the rows of plain Python; no token lost or seen twice, across calls and epochs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from mixtures.packing import METHODS, Account, Documents, Packer
from tests.conftest import ROOT
from tests.mixtures.packing.reference import Reference, Row

NO_DROP = ("best_fit", "concat", "greedy")
IN_ORDER = ("concat", "one_per_row", "greedy")
METHOD = st.sampled_from(METHODS)
LENGTHS = st.lists(
    st.one_of(st.integers(0, 12), st.integers(1, 90)), min_size=1, max_size=60
).filter(lambda lengths: 0 < min(n or 99 for n in lengths) < 9)  # `whole` finds one that fits
CALLS = st.lists(st.tuples(st.integers(0, 25), st.integers(8, 40)), min_size=1, max_size=6)
WINDOW = st.tuples(st.integers(1, 40), st.integers(1, 4))  # documents, rows


def documents(lengths: Sequence[int]) -> Documents:
    """Documents 100, 101 ...; every epoch turns their order by one."""

    def ask(epoch: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        assert 0 <= first and first + count <= len(lengths)
        place = (np.arange(first, first + count) + epoch) % len(lengths)
        return place + 100, np.array(lengths, np.int32)[place]

    return ask


def packer(
    method: str, lengths: Sequence[int], seed: int = 0, window: tuple[int, int] = (8192, 64)
) -> Packer:
    return Packer(method, documents(lengths), len(lengths), seed, *window)


def taken(packer: Packer, count: int, seq: int) -> list[Row]:
    """The next rows as lists; each window's counts agree with its pieces."""
    rows: list[Row] = []
    for packed in packer.rows(count, seq):
        columns = packed.document.tolist(), packed.offset.tolist(), packed.length.tolist()
        found = list(zip(*columns, strict=True))
        first = 0
        for epoch, pieces, tokens in zip(packed.epoch, packed.pieces, packed.tokens, strict=True):
            row = found[first : first + int(pieces)]
            assert sum(length for _, _, length in row) == tokens
            rows.append((int(epoch), row))
            first += int(pieces)
        assert first == len(found)
        check(packer.account())
    return rows


def check(account: Account) -> None:
    a = account
    assert a.drawn == a.kept_whole + a.kept_split + a.dropped + a.carried
    assert a.places == a.kept_whole + a.kept_split + a.padding
    parts = a.documents_whole + a.documents_split + a.documents_dropped + a.documents_carried
    assert a.documents_drawn == parts + a.documents_empty


@given(METHOD, LENGTHS, CALLS, WINDOW, st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_rows_are_those_of_plain_python(
    method: str,
    lengths: list[int],
    calls: list[tuple[int, int]],
    window: tuple[int, int],
    seed: int,
) -> None:
    ours, ask = packer(method, lengths, seed, window), documents(lengths)

    def pairs(epoch: int, first: int, count: int) -> list[tuple[int, int]]:
        return list(zip(*(column.tolist() for column in ask(epoch, first, count)), strict=True))

    plain = Reference(method, pairs, len(lengths), seed, *window)
    for count, seq in calls:
        assert taken(ours, count, seq) == list(plain.rows(count, seq))
        account = ours.account()
        assert account.dropped == plain.dropped
        assert account.carried == sum(doc.left for doc in plain.pool)
        assert account.documents_carried == len(plain.pool)


@given(METHOD, LENGTHS, CALLS, WINDOW)
@settings(max_examples=200, deadline=None)
def test_every_token_once_an_epoch(
    method: str, lengths: list[int], calls: list[tuple[int, int]], window: tuple[int, int]
) -> None:
    ours = packer(method, lengths, 1, window)
    out: dict[tuple[int, int], int] = defaultdict(int)  # tokens so far, by epoch and document
    epochs, rows, kept_whole = [], 0, 0
    for count, seq in calls:
        found = taken(ours, count, seq)
        assert len(found) == count
        rows += count
        for epoch, row in found:
            epochs.append(epoch)
            assert row and sum(length for _, _, length in row) <= seq
            assert len({document for document, _, _ in row}) == len(row)
            for document, offset, length in row:
                assert offset == out[epoch, document] and length > 0
                out[epoch, document] += length
                kept_whole += length * (length == lengths[document - 100])
    assert epochs == sorted(epochs)
    account = ours.account()
    assert account.rows == rows
    assert account.kept_whole == kept_whole
    sizes = {number + 100: length for number, length in enumerate(lengths)}
    whole = [key for key, length in out.items() if length == sizes[key[1]]]
    if method == "whole":
        assert len(whole) == len(out) and account.kept_split == 0
    if method in NO_DROP:
        assert account.dropped == 0
        for epoch in range(max(epochs, default=0)):  # all but the one that is being packed
            assert all(out[epoch, number] == length for number, length in sizes.items())
    left = account.drawn - account.dropped - sum(out.values())
    assert account.carried == left >= 0


@given(st.sampled_from(IN_ORDER), LENGTHS, WINDOW, st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_in_order_methods_do_not_mind_where_a_call_ends(
    method: str, lengths: list[int], window: tuple[int, int], first: int, second: int
) -> None:
    once, twice = packer(method, lengths, 0, window), packer(method, lengths, 0, window)
    rows = taken(twice, first, 16) + taken(twice, second, 16)
    assert rows == taken(once, first + second, 16)
    documents = [document for _, row in rows for document, _, _ in row]
    if method != "one_per_row" and not any(epoch for epoch, _ in rows):
        assert documents == sorted(documents)


@given(
    st.lists(st.integers(1, 400_000), min_size=1, max_size=50),
    st.integers(1, 400_000),
    st.sampled_from([(10, 1), (8192, 64)]),
)
@settings(max_examples=50, deadline=None)
def test_long_rows(lengths: list[int], seq: int, window: tuple[int, int]) -> None:
    """Deep trees of masks, radix sorts of several passes, rows as good as full."""
    ask = [(number + 100, length) for number, length in enumerate(lengths)]
    plain = Reference("best_fit", lambda _, a, n: ask[a : a + n], len(lengths), 0, *window)
    count = min(200, -(-sum(lengths) // seq))
    ours = packer("best_fit", lengths, window=window)
    assert taken(ours, count, seq) == list(plain.rows(count, seq))


def test_a_row_as_good_as_full_does_not_wait() -> None:
    """Of 4,096 places four may stay empty; five make the row wait for the next window."""
    for short, waits in ((4092, False), (4091, True)):
        ours = packer("best_fit", [4096, short, 4096, 4096, 5, 4096], window=(2, 2))
        first = next(ours.rows(2, 4096))
        assert (101 in first.document) is not waits


def planted(method: str) -> tuple[list[list[tuple[int, int, int]]], Account]:
    """All rows of ten places of five documents of 6, 0, 25, 4 and 3 tokens."""
    ours = packer(method, [6, 0, 25, 4, 3])
    rows: list[list[tuple[int, int, int]]] = []
    while not rows or ours.account().carried:
        rows += [row for _, row in taken(ours, 1, 10)]
    return sorted(rows), ours.account()


PLANTED = {  # rows, then tokens: kept of split documents, dropped, padding
    "whole": ([[(100, 0, 6), (103, 0, 4)], [(104, 0, 3)]], 0, 25, 7),
    "greedy": (
        [
            [(100, 0, 6)],
            [(102, 0, 10)],
            [(102, 10, 10)],
            [(102, 20, 5), (103, 0, 4)],
            [(104, 0, 3)],
        ],
        *(25, 0, 12),
    ),
    "concat": (
        [
            [(100, 0, 6), (102, 0, 4)],
            [(102, 4, 10)],
            [(102, 14, 10)],
            [(102, 24, 1), (103, 0, 4), (104, 0, 3)],
        ],
        *(25, 0, 2),
    ),
    "one_per_row": (
        [[(100, 0, 6)], [(102, 0, 10)], [(103, 0, 4)], [(104, 0, 3)]],
        *(10, 15, 17),
    ),
}


@pytest.mark.parametrize("method", PLANTED)
def test_a_planted_case(method: str) -> None:
    rows, account = planted(method)
    assert (rows, account.kept_split, account.dropped, account.padding) == PLANTED[method]
    assert account.documents_empty == 1 and account.drawn == 38


def test_best_fit_of_a_planted_case() -> None:
    """25 tokens make two full rows and a rest of 5, which stands with the 3."""
    found, account = planted("best_fit")
    shapes = sorted(sorted((document, n) for document, _, n in row) for row in found)
    assert shapes == [[(100, 6), (103, 4)], [(102, 5), (104, 3)], [(102, 10)], [(102, 10)]]
    assert (account.kept_whole, account.kept_split, account.padding) == (13, 25, 2)
    assert account.fill == 0.95


def test_a_source_smaller_than_a_row_is_padded_not_repeated() -> None:
    for method in METHODS:
        ours = packer(method, [3, 4])
        for number, (epoch, row) in enumerate(taken(ours, 3, 100)):
            assert epoch == (number // 2 if method == "one_per_row" else number)
            assert len({document for document, _, _ in row}) == len(row)


def test_what_a_short_row_cut_a_long_row_gets_back_in_one_piece() -> None:
    ours = packer("best_fit", [100])
    assert taken(ours, 2, 10) == [(0, [(100, 0, 10)]), (0, [(100, 10, 10)])]
    assert taken(ours, 1, 200) == [(0, [(100, 20, 80)])]
    assert ours.account().documents_split == 1


def test_a_document_too_long_for_now_may_fit_later() -> None:
    """`whole` gives a long document up at its window's end, not where rows stop before."""
    ours = packer("whole", [50, 8, 8, 8])
    assert len(taken(ours, 2, 10)) == 2
    later = taken(ours, 1, 100)
    assert sum(length for _, _, length in later[0][1]) == 58
    assert ours.account().dropped == 0


def web_like(count: int, mean: float, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed).lognormal(np.log(mean) - 0.72, 1.2, count)
    return np.maximum(draw, 1).astype(np.int32)


@pytest.mark.parametrize("seq", [2048, 8192])
@pytest.mark.parametrize("method", ["best_fit", "whole"])
def test_best_fit_fills_rows(method: str, seq: int) -> None:
    lengths = web_like(60_000, 1000)
    ours = Packer(method, lambda _, a, n: (np.arange(a, a + n), lengths[a : a + n]), 60_000, 0)
    fits = lengths if method == "best_fit" else lengths[lengths <= seq]
    for _ in ours.rows(int(fits.sum()) // seq, seq):  # to the end of the epoch but for a row
        pass
    assert ours.account().fill > 0.998


def test_documents_that_fit_badly_do_not_wait_for_long() -> None:
    """No two of them share a row: each goes with its window, or with the next."""
    lengths = np.random.default_rng(0).integers(51, 60, 2000)
    ours = packer("best_fit", lengths.tolist(), window=(100, 1))
    order = [row[0][0] - 100 for _, row in taken(ours, 2000, 100)]
    assert sorted(order) == list(range(2000))
    assert np.abs(np.array(order) - np.arange(2000)).max() < 300


def test_rows_of_a_window_are_shuffled_by_the_seed() -> None:
    lengths = web_like(2000, 100).tolist()
    first, again, other = (taken(packer("best_fit", lengths, s), 50, 512) for s in (1, 1, 2))
    assert first == again != other
    longest = [max(length for _, _, length in row) for _, row in first]
    assert longest != sorted(longest, reverse=True)


def test_documents_are_asked_for_once_and_a_window_at_a_time() -> None:
    asked: list[tuple[int, int, int]] = []
    lengths = [5] * 1000

    def ask(epoch: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append((epoch, first, count))
        return documents(lengths)(epoch, first, count)

    ours = Packer("best_fit", ask, 1000, 0, window=64, window_rows=1)
    for _ in ours.rows(900, 16):
        pass
    assert max(count for _, _, count in asked) <= 96
    for epoch in range(2):
        spans = [(first, count) for turn, first, count in asked if turn == epoch]
        ends = np.cumsum([count for _, count in spans])
        assert [first for first, _ in spans] == [0, *ends[:-1].tolist()] and ends[-1] == 1000


@pytest.mark.parametrize(
    ("method", "lengths", "message"),
    [
        ("whole", [11, 30], "an epoch of 2 documents gave no row: none of them has 1 to 10 tokens"),
        ("best_fit", [0, 0], "hold no tokens; leave the source out"),
    ],
)
def test_an_epoch_without_rows_is_an_error(method: str, lengths: list[int], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        taken(packer(method, lengths), 1, 10)


def test_the_example_of_the_guide_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "packing.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {})
    assert "Account(rows=3, places=6144, drawn=4760" in capsys.readouterr().out


def test_the_guide_names_every_method() -> None:
    page = (ROOT / "docs" / "packing.md").read_text()
    assert all(f"| `{method}` |" in page for method in METHODS)


def test_what_a_user_may_get_wrong() -> None:
    with pytest.raises(RecipeError, match="unknown packing 'bestfit'; did you mean 'best_fit'"):
        packer("bestfit", [1])
    with pytest.raises(RecipeError, match="0 documents an epoch"):
        packer("concat", [])
    with pytest.raises(RecipeError, match="5 rows of 0 tokens"):
        taken(packer("concat", [1]), 5, 0)
    with pytest.raises(ValueError, match=r"gave 1 documents and 1 lengths .* give 3 of each"):
        taken(Packer("concat", lambda *_: (np.ones(1), np.ones(1, int)), 3, 0), 1, 8)
