"""Op `language`: which language a text is in, and whether it is wanted.

In: the column text. Out: language (ISO code), language_score; failures language.not_kept and
language.low_score. Shown by: `gristmill stats web/clean --by language`. Limit: 1,024 bytes of four
places are read (`sample_bytes`); on 2,255 real pages this named the same language as the whole text
for 99.8 %, by either engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from curation.language_codes import suggest_language
from curation.ops import Apply, Failure, Op, OpResult, Signals, register_op
from gristmill.errors import RecipeError
from gristmill.text.identify import engine_of, open_identifier
from gristmill.text.langid import SAMPLE_BYTES, sample_windows


@register_op("language")
class Language(Op):
    """Identify the language of each text and drop those not wanted or not certain."""

    model: str | None = None  # path of lid.176.ftz or .bin; null: py3langid; "download": on request
    engine: Literal["auto", "lid176", "py3langid"] = "auto"
    keep: tuple[str, ...] = ("en",)  # labels to keep; empty keeps all
    min_score: float = Field(0.65, ge=0, le=1)
    sample_bytes: int = Field(SAMPLE_BYTES, ge=0)  # of each text, from four places; 0: all of it

    @field_validator("keep", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def files(self) -> list[str]:
        return [self.model] if self.model and self.model != "download" else []

    def packages(self) -> list[str]:
        lid176 = engine_of(self.engine, self.model) == "lid176"
        return ["fasttext-community"] if lid176 else ["py3langid"]

    def open(self) -> Apply:
        known, find = open_identifier(self.engine, self.model)
        for label in self.keep:
            if label not in known:
                raise RecipeError(
                    f"language: keep has {label!r}, which the model does not know"
                    f"{suggest_language(label, known)}"
                )
        keep, threshold, sample = frozenset(self.keep), self.min_score, self.sample_bytes

        def apply(table: pa.Table, signals: Signals) -> OpResult:
            texts = table["text"]
            window = sample_windows(texts, sample) if sample else sample_windows(texts, 1 << 30, 1)
            labels, scores = find(window)
            empty = pc.equal(pc.binary_length(window), 0).to_numpy(zero_copy_only=False)
            named = [None if hollow else label for label, hollow in zip(labels, empty, strict=True)]
            return _result(named, np.where(empty, 0.0, scores), keep, threshold)

        return apply


def _result(
    labels: Sequence[str | None], scores: np.ndarray, keep: frozenset[str], min_score: float
) -> OpResult:
    # Four digits: enough for any threshold, and the same from any maths library.
    scores = np.round(np.clip(np.asarray(scores, np.float64), 0, 1), 4)
    unwanted = np.array([bool(keep) and label not in keep for label in labels], bool)
    found = {
        "language": pa.array(labels, pa.string()),
        "language_score": pa.array(scores, pa.float64()),
    }
    return OpResult(
        columns=found,
        ledger=found,
        failures=[
            Failure("language.not_kept", unwanted, scores),
            Failure("language.low_score", scores < min_score, scores, min_score),
        ],
    )
