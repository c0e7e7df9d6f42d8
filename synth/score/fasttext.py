"""Score fastText: how probable a label is, by a supervised fastText model in a file.

In: a text field, a model, one of its labels. Out: the probability (0 to 1) in `fasttext`.
Shown by: `python -m pytest tests/synth/score/test_score_fasttext.py`.
Limit: the text is read as one line, as fastText was trained; the model lives in every process.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.errors import RecipeError, nearest
from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import text_array, text_of

PREFIX = "__label__"


@register_op("score.fasttext")
class FastText(SynthOp):
    """The probability of one label, e.g. `hq` of a quality classifier."""

    model: str  # path of a .bin or .ftz
    label: str  # with or without `__label__`
    of: str = "response"
    into: str = "fasttext"

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.float64()}

    def files(self) -> list[str]:
        return [self.model]

    def packages(self) -> list[str]:
        return ["fasttext-community"]

    def check(self) -> None:
        self._place()

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        model, place = self._place()
        found = [(item, text_of(item, self.of, row, self.NAME)) for item in items]
        kept = [item for item, text in found if text is not None]
        if not kept:
            return kept
        lines = [" ".join(text.split()) for _, text in found if text is not None]
        labels, chances = model.predict(text_array(lines).to_pylist(), k=-1, threshold=0.0)
        for item, names, values in zip(kept, labels, chances, strict=True):
            by_name = dict(zip(names, values, strict=True))
            item.fields[self.into] = min(max(float(by_name.get(place, 0.0)), 0.0), 1.0)
        return kept

    def _place(self) -> tuple[Any, str]:
        """The model and the label as it knows it."""
        model, labels = _loaded(self.model)
        name = self.label if self.label.startswith(PREFIX) else PREFIX + self.label
        if name not in labels:
            known = [label.removeprefix(PREFIX) for label in labels]
            raise RecipeError(
                f"score.fasttext: {self.model} has no label {self.label!r}"
                f"{nearest(self.label, known)}"
            )
        return model, name


@lru_cache(maxsize=4)
def _loaded(path: str) -> tuple[Any, frozenset[str]]:
    if not Path(path).is_file():
        raise RecipeError(f"score.fasttext: model is {path!r}; no such file; give a .bin or .ftz")
    import fasttext

    try:
        model = fasttext.load_model(path)
        labels = model.get_labels()
    except (ValueError, OSError, MemoryError) as error:
        raise RecipeError(f"score.fasttext: {path!r} is no fastText model: {error}") from None
    return model, frozenset(labels)
