"""Language identification by a model's file: fastText's lid.176, or py3langid's naive Bayes.

In: the engine and the path of a model. Out: the labels that it knows, and a function of texts.
Shown by: `python -m gristmill.text.identify README.md`.
Limit: fastText's `predict` holds the GIL for the whole of a call.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill import fs
from gristmill.errors import GristmillError, RecipeError
from gristmill.text.langid import identify, load_naive_bayes, sample_windows

# fastText's compressed model of 176 languages (CC-BY-SA-3.0), as its authors publish it.
LID176_URL = "https://dl.fbaipublicfiles.com/fasttext/supervised-models/lid.176.ftz"
LID176_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
_PREFIX = "__label__"

# (texts) -> label of each, None where there is none, and its score
Identifier = Callable[[pa.Array], tuple[list[str | None], npt.NDArray[np.float64]]]


def engine_of(engine: str, model: str | None) -> str:
    """`auto` resolved: lid176 where a model is named that is not py3langid's."""
    if engine != "auto":
        return engine
    return "py3langid" if model is None or model.endswith(".xz") else "lid176"


def open_identifier(engine: str, model: str | None) -> tuple[set[str], Identifier]:
    """(labels known, function of texts). model: a path or URL; "download"; None: py3langid's own.

    Raises RecipeError for lid176 without a model, GristmillError for a file that is none.
    """
    if engine_of(engine, model) == "py3langid":
        return _naive_bayes(model)
    if model is None:
        raise RecipeError(
            "language: engine lid176 needs `model:`, the path of lid.176.ftz; "
            "or `model: download` to fetch it"
        )
    return _fasttext(_local_model(model))


def _naive_bayes(path: str | None) -> tuple[set[str], Identifier]:
    model = load_naive_bayes(path)

    def find(texts: pa.Array) -> tuple[list[str | None], npt.NDArray[np.float64]]:
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

    def find(texts: pa.Array) -> tuple[list[str | None], npt.NDArray[np.float64]]:
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
            with urllib.request.urlopen(LID176_URL, timeout=60) as answer:
                data = answer.read()
        except OSError as error:
            raise GristmillError(
                f"cannot download the language model ({error}); fetch lid.176.ftz yourself and "
                "give its path as `model:`, or leave `model:` out to use py3langid"
            ) from error
        _publish(data, path)
    found = fs.digest(str(path))
    if found != LID176_SHA256:
        path.unlink()
        raise GristmillError(
            f"the downloaded language model has sha256 {found[:12]}…, not {LID176_SHA256[:12]}…; "
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


def main(paths: list[str]) -> None:
    """Print the language of files."""
    _, find = open_identifier("auto", None)
    labels, scores = find(sample_windows(pa.array([Path(p).read_text("utf-8") for p in paths])))
    for path, label, score in zip(paths, labels, scores, strict=True):
        print(f"{path}\t{label}\t{score:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
