"""Cut what a document shares with a benchmark, as GPT-3 did, instead of dropping the document.

In: a text's UTF-8 bytes and the stretches that shared n-grams cover. Out: what is left, or why not.
Shown by: `gristmill run RECIPE --set STEP.action=cut`.
Limit: a cut may fall inside a word; the pieces are joined by an empty line into one document.

Brown et al. 2020, appendix C: the colliding n-gram goes, with 200 characters on both sides; pieces
under 200 characters are discarded; a document split into more than 10 pieces is removed. lm-eval's
janitor counts every overlapping n-gram as one cut, so that 23 words in a row are too many; here
windows that meet are one cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WINDOW, MIN_FRAGMENT, MAX_CUTS = 200, 200, 10
JOIN = b"\n\n"


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a text: None when it is to be dropped, and then why."""

    text: bytes | None
    cuts: int  # windows removed, at most max_cuts + 1 are counted
    reason: str = ""  # "cuts": too many; "fragments": none long enough is left


def cut_text(
    raw: bytes,
    runs: Iterable[tuple[int, int]],
    window: int = WINDOW,
    min_fragment: int = MIN_FRAGMENT,
    max_cuts: int = MAX_CUTS,
) -> Cut:
    """Remove each run (bytes start, end; in order) with `window` characters on both sides."""
    kept: list[bytes] = []
    cuts, at = 0, 0  # `at`: end of the last window
    last_end = -1
    for start, end in runs:
        if last_end >= 0 and _within(raw, last_end, start, 2 * window):
            last_end = end  # the windows meet: one cut
            continue
        if last_end >= 0:
            at = _forward(raw, last_end, window)
        cuts += 1
        if cuts > max_cuts:
            return Cut(None, cuts, "cuts")
        kept.append(raw[at : max(at, _backward(raw, start, window))])
        last_end = end
    if last_end < 0:
        return Cut(raw, 0)
    kept.append(raw[_forward(raw, last_end, window) :])
    short = max(min_fragment - 1, 0)
    kept = [piece for piece in kept if not _within(piece, 0, len(piece), short)]
    return Cut(JOIN.join(kept), cuts) if kept else Cut(None, cuts, "fragments")


def _is_start(byte: int) -> bool:
    return byte & 0xC0 != 0x80


def _within(raw: bytes, start: int, end: int, most: int) -> bool:
    """Are there at most `most` characters in raw[start:end]? Looks at 4 x most bytes or fewer."""
    if end - start <= most:
        return True
    if end - start > 4 * most:  # a character has at most four bytes
        return False
    return sum(map(_is_start, raw[start:end])) <= most


def _forward(raw: bytes, at: int, count: int) -> int:
    """The byte position `count` characters after `at`."""
    while at < len(raw) and (count or not _is_start(raw[at])):
        count -= _is_start(raw[at])
        at += 1
    return at


def _backward(raw: bytes, at: int, count: int) -> int:
    """The byte position `count` characters before `at`."""
    while at > 0 and count:
        at -= 1
        count -= _is_start(raw[at])
    return at
