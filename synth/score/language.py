"""Score language: which language a text is in, and how sure the model is.

In: a text field. Out: fields `language` (a label of the model, null for an empty text) and
`language_score` (0 to 1). Shown by: `python -m pytest tests/synth/score/test_score_language.py`.
Limit: of a long text 1,024 bytes from four places are read, as by curation's op `language`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import pyarrow as pa
from pydantic import Field

from gristmill.text.identify import Identifier, engine_of, open_identifier
from gristmill.text.langid import SAMPLE_BYTES, sample_windows
from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import text_array, text_of


@register_op("score.language")
class Language(SynthOp):
    """Identify the language of a field."""

    of: str = "response"
    model: str | None = None  # path of lid.176.ftz or .bin; null: py3langid's own
    engine: Literal["auto", "lid176", "py3langid"] = "auto"
    sample_bytes: int = Field(SAMPLE_BYTES, ge=0)  # of each text, from four places; 0: all of it
    into: str = "language"

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.string(), f"{self.into}_score": pa.float64()}

    def files(self) -> list[str]:
        return [self.model] if self.model else []

    def packages(self) -> list[str]:
        lid176 = engine_of(self.engine, self.model) == "lid176"
        return ["fasttext-community"] if lid176 else ["py3langid"]

    def check(self) -> None:
        _opened(self.engine, self.model)

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        found = [(item, text_of(item, self.of, row, self.NAME)) for item in items]
        kept = [item for item, text in found if text is not None]
        texts = text_array([text for _, text in found if text is not None])
        size = self.sample_bytes
        windows = sample_windows(texts, size) if size else sample_windows(texts, 1 << 30, 1)
        labels, scores = _opened(self.engine, self.model)(windows)
        for item, label, score, window in zip(
            kept, labels, scores.tolist(), windows.to_pylist(), strict=True
        ):
            # four digits: enough for any threshold, and the same from any maths library
            item.fields[self.into] = label if window else None
            item.fields[f"{self.into}_score"] = round(min(max(score, 0), 1), 4) if window else 0.0
        return kept


@lru_cache(maxsize=8)
def _opened(engine: str, model: str | None) -> Identifier:
    return open_identifier(engine, model)[1]
