"""Op `language`: which language a text is in, and whether it is wanted.

In: the column text. Out: language (ISO code), language_score; failures language.not_kept and
language.low_score. Shown by: `gristmill stats web/clean --by language`. Limit: 1,024 bytes of four
places are read (`sample_bytes`); on 2,255 real pages this named the same language as the whole text
for 99.8 %, by either engine.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from curation.language_codes import suggest_language
from curation.ops import Apply, Failure, Op, OpResult, Signals, register_op
from gristmill import fs
from gristmill.errors import GristmillError, RecipeError
from gristmill.text.langid import SAMPLE_BYTES, identify, load_naive_bayes, sample_windows

# fastText's compressed model of 176 languages (CC-BY-SA-3.0), as its authors publish it.
_LID176_URL = "https://dl.fbaipublicfiles.com/fasttext/supervised-models/lid.176.ftz"
_LID176_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
_PREFIX = "__label__"

# (texts) -> label of each, None where there is none, and its score
Identifier = Callable[[pa.Array], tuple[list[str | None], np.ndarray]]


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
        return ["fasttext-community"] if self._engine() == "lid176" else ["py3langid"]

    def _engine(self) -> str:
        if self.engine != "auto":
            return self.engine
        return "py3langid" if self.model is None or self.model.endswith(".xz") else "lid176"

    def open(self) -> Apply:
        if self._engine() == "lid176":
            if self.model is None:
                raise RecipeError(
                    "language: engine lid176 needs `model:`, the path of lid.176.ftz; "
                    "or `model: download` to fetch it"
                )
            known, find = _fasttext(_local_model(self.model))
        else:
            known, find = _naive_bayes(self.model)
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


def _naive_bayes(path: str | None) -> tuple[set[str], Identifier]:
    model = load_naive_bayes(path)

    def find(texts: pa.Array) -> tuple[list[str | None], np.ndarray]:
        labels, scores = identify(model, texts)
        return [model.labels[label] for label in labels.tolist()], scores

    return set(model.labels), find


def _fasttext(path: str) -> tuple[set[str], Identifier]:
    import fasttext

    try:
        model = fasttext.load_model(path)
    except (ValueError, OSError) as error:
        raise GristmillError(
            f"{path!r} is no fastText model ({error}); give the path of lid.176.ftz"
        ) from error

    def find(texts: pa.Array) -> tuple[list[str | None], np.ndarray]:
        if not len(texts):
            return [], np.zeros(0)
        labels, scores = model.predict(texts.to_pylist())  # one call: it holds the GIL throughout
        named = [found[0].removeprefix(_PREFIX) if len(found) else None for found in labels]
        return named, np.array([found[0] if len(found) else 0.0 for found in scores])

    return {label.removeprefix(_PREFIX) for label in model.get_labels()}, find


def _local_model(path: str) -> str:
    """A path that fastText can open: itself, or a copy of a remote file or of the download."""
    if path == "download":
        return str(_downloaded())
    if not fs.is_remote(path):
        if not Path(path).expanduser().is_file():
            fs.expand(path)  # raises, and says what is near
        return str(Path(path).expanduser())
    cached = _cache() / hashlib.sha256(path.encode()).hexdigest()[:16]
    with fs.open_file(path) as file:
        _publish(file.read(), cached)
    return str(cached)


def _downloaded() -> Path:
    """The published model, fetched once and checked by its digest."""
    path = _cache() / "lid.176.ftz"
    if not path.exists():
        try:
            with urllib.request.urlopen(_LID176_URL, timeout=60) as answer:
                data = answer.read()
        except OSError as error:
            raise GristmillError(
                f"cannot download the language model ({error}); fetch lid.176.ftz yourself and "
                "give its path as `model:`, or leave `model:` out to use py3langid"
            ) from error
        _publish(data, path)
    found = fs.digest(str(path))
    if found != _LID176_SHA256:
        path.unlink()
        raise GristmillError(
            f"the downloaded language model has sha256 {found[:12]}…, not {_LID176_SHA256[:12]}…; "
            "it was removed: try again, or give the path of a file that you trust"
        )
    return path


def _cache() -> Path:
    root = os.environ.get("GRISTMILL_CACHE") or Path.home() / ".cache" / "gristmill"
    path = Path(root)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _publish(data: bytes, path: Path) -> None:
    """Write by rename: two workers may do it at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.replace(file.name, path)
