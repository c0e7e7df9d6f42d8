"""Decontamination recipes: what counts as a match between a document and a benchmark item, as data.

In: a name. Out: the n-grams to index, the measure of a (document, item) pair, and its threshold.
Shown by: `python -m gristmill.decontam.recipes`.
Limit: all recipes see one document at a time; only `common_use` looks at the whole corpus.

A new recipe is one `register_recipe(...)` entry. One with another measure (a longest common
subsequence, an IDF overlap) also names a function with the signature of `match.coverage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.decontam.match import coverage
from gristmill.errors import RecipeError, nearest

if TYPE_CHECKING:
    from gristmill.decontam.match import Measure


@dataclass(frozen=True, slots=True)
class DecontaminationRecipe:
    """One published rule. All numbers of words are normalised words (gristmill.text.words)."""

    name: str
    source: str
    lengths: tuple[int, ...]  # words of the n-grams that are indexed
    min_words: int  # items of min_words..min(lengths)-1 words are indexed whole; fewer: not covered
    threshold: float  # an item is matched when its measure is at least this; 0 = any shared n-gram
    measure: Measure = coverage
    common_use: int | None = None  # n-grams found in more documents than this are no evidence


_RECIPES: dict[str, DecontaminationRecipe] = {}


def register_recipe(recipe: DecontaminationRecipe) -> DecontaminationRecipe:
    """Make a recipe known under its name; a later one of the same name replaces it."""
    _RECIPES[recipe.name] = recipe
    return recipe


def decontamination_recipe(name: str) -> DecontaminationRecipe:
    """The recipe registered under `name`; RecipeError with the nearest name otherwise."""
    if name not in _RECIPES:
        raise RecipeError(f"unknown decontamination recipe {name!r}{nearest(name, _RECIPES)}")
    return _RECIPES[name]


# GPT-3 (Brown et al. 2020, appendix C): any 13-gram; N between 8 and 13, so that shorter test sets
# are covered too. Here N is not lowered for a whole test set: only items too short for 13 are
# indexed whole, from 8 words on.
register_recipe(
    DecontaminationRecipe(
        name="gpt3_13gram",
        source="Brown et al. 2020, appendix C",
        lengths=(13,),
        min_words=8,
        threshold=0.0,
    )
)
# Llama 3 (2024, section 5.1.4): an item is contaminated when a ratio T of its tokens lies in
# 8-grams seen in training. T was chosen for each benchmark and is not published; 0.5 is ours.
register_recipe(
    DecontaminationRecipe(
        name="llama3_8gram",
        source="Llama 3, section 5.1.4; threshold ours",
        lengths=(8,),
        min_words=8,
        threshold=0.5,
    )
)


if __name__ == "__main__":
    for entry in _RECIPES.values():
        print(entry)
