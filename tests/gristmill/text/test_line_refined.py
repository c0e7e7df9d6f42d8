"""RefinedWeb's line rules equal a plain reference."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.text.line_refined import FAMILIES, clean_refined
from tests.gristmill.text.reference_english import any_text, same_unicode
from tests.gristmill.text.reference_lines import refined

LINES = (
    "A line of prose stays where it is.", "HALF UPper", "HALF UP per", "MENU HOME SHOP", "12345",
    "١٢³", "12 45", "3 likes", "1,234.5K Followers!!", "(7) comments", "3 likes it", "7K 8 views",
    "word", "two words", "", "  ", "5 items in cart", "items in cart",
    "Items In Cart items in cart x",
    "My basket: 5 items in cart, of eleven words here and there", "Continue: Read more...",
    "read more...", "Read more... and more", "Sign-in to see", "sign-in", "Sign-in  Read more...",
    "please sign-in now", "Ünï ÄÖÜ x", "k likes", "5k\u00a0shares —", "5likes", "_5 likes_",
)  # fmt: skip
pages = st.lists(st.sampled_from(LINES) | any_text, max_size=8).map("\n".join)


def _check(texts: list[str]) -> None:
    cleaned, counts = clean_refined(pa.array(texts, pa.string()))
    for i, text in enumerate(texts):
        wanted, wanted_counts = refined(text)
        assert cleaned[i].as_py() == wanted, text
        assert {name: int(counts[name][i]) for name in wanted_counts} == wanted_counts, text


def test_each_line_and_all_of_them() -> None:
    _check(["\n".join(LINES), "\n\n".join(LINES) + "\n", "", "\n", *LINES])


@same_unicode
@settings(deadline=None, max_examples=150)
@given(st.lists(pages, min_size=1, max_size=3))
def test_kernel_equals_reference(texts: list[str]) -> None:
    _check(texts)


def test_signals_of_the_page_rule() -> None:
    found = FAMILIES["refinedweb"].compute(pa.array(["word\nfour words that stay", None]))
    assert found["refinedweb_words"].tolist() == [5, 0]
    assert found["refinedweb_removed_words"].tolist() == [1, 0]
