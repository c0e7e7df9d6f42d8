"""C4's rule on bad words: a page with one of a list's words between other characters is dropped.

In: cleaned texts and lists by path. Out: how many such words each text has.
Shown by: `- clean_lines: {set: c4, bad_words: "ldnoobw_badwords.tar.gz#en"}`.
Limit: words between spaces only; of Japanese, Thai or Chinese lists C4 asked for any occurrence.

TensorFlow Datasets, text/c4_utils.py: `[^a-z](words)[^a-z]` in each line that stays, lower case; so
a word at either end of a line is not found, and lines end in a mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.url_lists import read_entries
from gristmill.errors import RecipeError

Counter = Callable[[pa.Array], npt.NDArray[np.int64]]


def bad_word_counter(lists: Sequence[str]) -> Counter:
    """A function that counts the lists' words in every text; null counts as empty."""
    words = sorted(set(read_entries(lists, "*").to_pylist()))
    if not words:
        raise RecipeError(f"bad_words: {', '.join(lists)} has no words; one a line is expected")
    pattern = rf"[^a-z\n](?:{'|'.join(map(re.escape, words))})[^a-z\n]"

    def count(texts: pa.Array) -> npt.NDArray[np.int64]:
        found = pc.count_substring_regex(pc.fill_null(texts, ""), pattern, ignore_case=True)
        return found.to_numpy(zero_copy_only=False).astype(np.int64)

    return count
