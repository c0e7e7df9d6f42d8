"""Cutting: GPT-3's rule, to the character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.decontam.cut import Cut, cut_text


def characters(text: str, runs: list[tuple[int, int]]) -> tuple[bytes, list[tuple[int, int]]]:
    """Runs in characters -> the text's bytes and runs in bytes."""
    at = [len(text[:n].encode()) for n in range(len(text) + 1)]
    return text.encode(), [(at[start], at[end]) for start, end in runs]


def cut(text: str, runs: list[tuple[int, int]], *options: int) -> Cut:
    raw, spans = characters(text, runs)
    return cut_text(raw, spans, *options)


A, B = "a" * 1000, "b" * 1000
HIT = "#" * 50


@pytest.mark.parametrize(
    ("text", "runs", "left", "cuts", "reason"),
    [
        (A, [], A, 0, ""),
        # 200 characters on both sides go, the rest stays, piece by piece
        (A + HIT + B, [(1000, 1050)], A[:800] + "\n\n" + B[:800], 1, ""),
        # a piece of 200 characters stays, one of 199 goes
        ("a" * 400 + HIT + B, [(400, 450)], "a" * 200 + "\n\n" + B[:800], 1, ""),
        ("a" * 399 + HIT + B, [(399, 449)], B[:800], 1, ""),
        # at the edges of the text
        (HIT + B, [(0, 50)], B[:800], 1, ""),
        (A + HIT, [(1000, 1050)], A[:800], 1, ""),
        # windows that meet are one cut: 400 characters between them, or fewer
        (A + HIT + "x" * 400 + HIT, [(1000, 1050), (1450, 1500)], A[:800], 1, ""),
        # a piece between windows, too short to stay: two cuts
        (A + HIT + "x" * 401 + HIT, [(1000, 1050), (1451, 1501)], A[:800], 2, ""),
        (
            A + HIT + "x" * 600 + HIT,
            [(1000, 1050), (1650, 1700)],
            A[:800] + "\n\n" + "x" * 200,
            2,
            "",
        ),
        # nothing long enough is left
        ("a" * 399 + HIT + "b" * 399, [(399, 449)], None, 1, "fragments"),
        (HIT, [(0, 50)], None, 1, "fragments"),
        # 10 cuts are borne, 11 are not
        ((A + HIT) * 10, [(1050 * n + 1000, 1050 * n + 1050) for n in range(10)], None, 10, "ok"),
        ((A + HIT) * 11, [(1050 * n + 1000, 1050 * n + 1050) for n in range(11)], None, 11, "cuts"),
    ],
)
def test_vectors(
    text: str, runs: list[tuple[int, int]], left: str | None, cuts: int, reason: str
) -> None:
    if reason == "ok":
        left, reason = "\n\n".join([A[:800]] + [A[:600]] * 9), ""
    assert cut(text, runs) == Cut(left.encode() if left is not None else None, cuts, reason)


def test_characters_are_counted_not_bytes() -> None:
    text = "ä" * 1000 + "🙂" * 50 + "語" * 1000
    left = cut(text, [(1000, 1050)]).text
    assert left is not None and left.decode() == "ä" * 800 + "\n\n" + "語" * 800


def test_one_hit_leaves_what_lm_eval_janitor_leaves() -> None:
    """Its pieces for a single n-gram; its end is inclusive, so it removes 201 behind."""
    assert cut(A + HIT + B, [(1000, 1050)]).text == b"a" * 800 + b"\n\n" + b"b" * 800


@given(
    st.text(alphabet="aä語🙂\n", max_size=120),
    st.lists(st.tuples(st.integers(0, 110), st.integers(1, 9)), max_size=6),
    st.integers(0, 7),
    st.integers(0, 12),
    st.integers(0, 3),
)
def test_cuts_equal_the_plain_definition(
    text: str, spans: list[tuple[int, int]], window: int, least: int, most: int
) -> None:
    runs, free = [], 0
    for start, size in sorted(spans):
        if free <= start and start + size <= len(text):
            runs.append((start, start + size))
            free = start + size + 1
    windows: list[list[int]] = []
    for start, end in runs:
        if windows and start - window <= windows[-1][1] + window:
            windows[-1][1] = end
        else:
            windows.append([start, end])
    pieces, at = [], 0
    for start, end in windows:
        pieces.append(text[at : max(start - window, 0)])
        at = end + window
    pieces.append(text[at:])
    kept = [piece for piece in pieces if piece and len(piece) >= least]
    found = cut(text, runs, window, least, most)
    if not runs:
        assert found == Cut(text.encode(), 0)
    elif len(windows) > most:
        assert (found.text, found.reason) == (None, "cuts")
    elif not kept:
        assert (found.text, found.reason) == (None, "fragments")
    else:
        assert found.text is not None and found.text.decode() == "\n\n".join(kept)
        assert found.cuts == len(windows)


def test_a_long_text_that_is_nothing_but_hits_is_read_once() -> None:
    raw = b"x" * 10_000_000
    runs = ((n, n + 9) for n in range(0, 10_000_000, 10))
    assert cut_text(raw, runs) == Cut(None, 1, "fragments")
