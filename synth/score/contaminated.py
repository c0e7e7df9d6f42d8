"""Score contaminated: whether a text holds an item of a benchmark, and which.

In: a text field, benchmark files. Out: `contaminated` (true or false), `contaminated_by`,
`contaminated_item` and `contaminated_coverage` of the item with the highest coverage.
Shown by: `python -m pytest tests/synth/score/test_score_contaminated.py`.
Limit: copies are found, whatever their case, punctuation and layout; paraphrases are not.

The same words, n-grams, evidence rule (runs of numbers are none) and recipes as the step
`decontaminate`; see gristmill/decontam/. The index is built once a process, of all benchmarks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, field_validator

from gristmill.decontam.benchmarks import Against, read_benchmarks
from gristmill.decontam.match import Totals
from gristmill.decontam.recipes import decontamination_recipe
from gristmill.errors import RecipeError
from gristmill.fs import expand
from gristmill.text.ngrams import NgramIndex, build_index, find
from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import text_array, text_of


@register_op("score.contaminated")
class Contaminated(SynthOp):
    """Look for benchmark items in a field."""

    against: tuple[Against, ...]  # files and globs, or mappings of path, fields, name, id
    of: str = "response"
    recipe: str = "gpt3_13gram"  # or llama3_8gram
    threshold: float | None = Field(None, ge=0, le=1)  # part of an item's words; null: the recipe's
    into: str = "contaminated"

    @field_validator("against", mode="before")
    @classmethod
    def _entries(cls, entries: Any) -> Any:
        """A path alone, or a list of paths and mappings."""
        if isinstance(entries, str | dict):
            entries = [entries]
        if not isinstance(entries, list | tuple) or not entries:
            raise ValueError(f"against is {entries!r}; name at least one benchmark file")
        return tuple({"path": entry} if isinstance(entry, str) else entry for entry in entries)

    @field_validator("recipe")
    @classmethod
    def _known(cls, name: str) -> str:
        decontamination_recipe(name)
        return name

    def fields(self) -> dict[str, pa.DataType]:
        return {
            self.into: pa.bool_(),
            f"{self.into}_by": pa.string(),
            f"{self.into}_item": pa.string(),
            f"{self.into}_coverage": pa.float64(),
        }

    def files(self) -> list[str]:
        return list(dict.fromkeys(entry.path for entry in self.against))

    def check(self) -> None:
        expand(self.files())

    @cached_property
    def _benchmarks(self) -> _Benchmarks:
        entries = json.dumps([entry.model_dump() for entry in self.against])
        return _indexed(entries, self.recipe, self.threshold)

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        found = [(item, text_of(item, self.of, row, self.NAME)) for item in items]
        kept = [item for item, text in found if text is not None]
        texts = text_array([text for _, text in found if text is not None])
        known = self._benchmarks
        for item in kept:
            item.fields |= {self.into: False, f"{self.into}_coverage": 0.0}
            item.fields |= {f"{self.into}_by": None, f"{self.into}_item": None}
        hits = find(texts, known.index, known.exempt, known.seen)
        if not len(hits.text):
            return kept
        measure = decontamination_recipe(self.recipe).measure
        totals = Totals.zeros(len(known.names))
        matches = measure(texts, hits, known.index, known.thresholds, totals)
        for text, which, value, matched in zip(
            matches.text.tolist(), matches.item.tolist(), matches.value.tolist(),
            matches.matched.tolist(), strict=True,
        ):  # fmt: skip
            values = kept[text].fields
            values[self.into], values[f"{self.into}_coverage"] = matched, round(value, 4)
            if matched:
                values[f"{self.into}_by"], values[f"{self.into}_item"] = known.names[which]
        return kept


@dataclass(frozen=True, slots=True)
class _Benchmarks:
    """What lives as long as the process."""

    index: NgramIndex
    names: list[tuple[str, str]]  # benchmark and item of each item
    thresholds: npt.NDArray[np.float64]
    exempt: npt.NDArray[np.bool_]  # no entry
    seen: npt.NDArray[np.int64]  # scratch of `find`


@lru_cache(maxsize=4)
def _indexed(entries: str, recipe: str, threshold: float | None) -> _Benchmarks:
    files: dict[str, Against] = {}
    for entry in map(Against.model_validate, json.loads(entries)):
        for file in expand(entry.path):
            files.setdefault(file.path, entry)
    items = read_benchmarks(list(files.items()))
    chosen = decontamination_recipe(recipe)
    if chosen.common_use is not None:
        raise RecipeError(
            f"score.contaminated: recipe {recipe!r} counts n-grams over a whole corpus; use the "
            "step `decontaminate` on the generated dataset"
        )
    index = build_index(items["text"], chosen.lengths, chosen.min_words)
    names = zip(items["benchmark"].to_pylist(), items["item_id"].to_pylist(), strict=True)
    limit = chosen.threshold if threshold is None else threshold
    exempt, seen = np.zeros(len(index), np.bool_), np.zeros(len(index) + 1, np.int64)
    return _Benchmarks(index, list(names), np.full(len(items), limit), exempt, seen)
