"""Language of texts: sampled windows, and py3langid's model as one kernel over Arrow buffers.

In: a string column. Out: a label and a probability for each text. Shown by:
`python -m gristmill.text.langid README.md`. Limit: one language a text; mixed ones get the larger.

The model (py3langid: multinomial naive Bayes over byte n-grams found by a DFA, Lui & Baldwin 2012)
is read from the installed wheel; labels and probabilities equal its `classify` with norm_probs.
"""

from __future__ import annotations

import lzma
import math
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from unicodedata import normalize
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from gristmill.errors import GristmillError
from gristmill.text.buffers import string_buffers

SAMPLE_BYTES = 1024  # of a text, from SAMPLE_WINDOWS places; see docs for the accuracy it costs
SAMPLE_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class NaiveBayes:
    """py3langid's model as plain arrays."""

    moves: npt.NDArray[np.uint32]  # [rows * 256]: next state by row and byte
    states: npt.NDArray[np.int32]  # [states, 2]: start of the state's row, feature or -1
    weights: npt.NDArray[np.float32]  # [features, classes]: log P(feature | class)
    prior: npt.NDArray[np.float32]  # [classes]
    first: npt.NDArray[np.int64]  # [classes]: the first class of the same label
    labels: tuple[str, ...]


def load_naive_bayes(path: str | None = None) -> NaiveBayes:
    """The model of the installed py3langid, or of a file in its format. Takes about a second."""
    from py3langid.modelio import load_model

    spec = find_spec("py3langid")
    if path is None:
        if spec is None or spec.origin is None:
            raise GristmillError("py3langid is not installed; `pip install py3langid`")
        path = str(Path(spec.origin).parent / "data" / "model.npz.xz")
    try:
        weights, prior, labels, moves, rows, features = load_model(path)
    except (OSError, ValueError, KeyError, EOFError, lzma.LZMAError, BadZipFile) as error:
        raise GristmillError(f"{path!r} is no py3langid model: {error}") from error
    states = np.empty((len(rows), 2), np.int32)
    states[:, 0] = np.frombuffer(rows, f"u{rows.itemsize}").astype(np.int64) << 8
    states[:, 1] = features
    first = [labels.index(label) for label in labels]  # some labels have a class for each script
    return NaiveBayes(
        np.frombuffer(moves, f"u{moves.itemsize}").astype(np.uint32),
        states,
        np.ascontiguousarray(weights, np.float32),
        np.asarray(prior, np.float32),
        np.asarray(first, np.int64),
        tuple(labels),
    )


def identify(
    model: NaiveBayes, texts: pa.Array | pa.ChunkedArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(index into model.labels, probability) of each text; a text without features is uncertain."""
    prepared = _prepared(texts)
    data, offsets = string_buffers(prepared)
    size = len(offsets) - 1
    labels, scores = np.zeros(size, np.int64), np.zeros(size, np.float64)
    counts = np.zeros(len(model.weights), np.int32)
    touched = np.zeros(len(model.weights), np.int32)
    totals = np.zeros(len(model.prior), np.float32)
    _identify(
        data,
        offsets,
        model.moves,
        model.states,
        model.weights,
        model.prior,
        model.first,
        counts,
        touched,
        totals,
        labels,
        scores,
    )
    return labels, scores


def sample_windows(
    texts: pa.Array | pa.ChunkedArray,
    max_bytes: int = SAMPLE_BYTES,
    windows: int = SAMPLE_WINDOWS,
) -> pa.Array:
    """Of each text about `max_bytes` bytes from evenly spaced windows, line ends as spaces.

    Windows start and end at code points, after a space where one is near. Short texts are whole.
    """
    data, offsets = string_buffers(texts)
    lengths = np.diff(offsets)
    lengths = np.where(lengths > max_bytes, max_bytes + windows, lengths)  # a space a window
    out_offsets = np.zeros(len(lengths) + 1, np.int32)
    out = np.zeros(int(lengths.sum()), np.uint8)
    used = _sample(data, offsets, max_bytes, windows, out, out_offsets)
    buffers = [None, pa.py_buffer(out_offsets), pa.py_buffer(out[:used])]
    return pa.Array.from_buffers(pa.string(), len(lengths), buffers)


def _prepared(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """As py3langid does: texts all in capitals are lowered, then NFC."""
    rows = [text or "" for text in texts.to_pylist()]
    lowered = [text.lower() if text.isupper() else text for text in rows]
    return pa.array([normalize("NFC", text) for text in lowered], pa.string())


@njit(cache=True, nogil=True, boundscheck=False)
def _identify(  # type: ignore[no-untyped-def]
    data,
    offsets,
    moves,
    states,
    weights,
    prior,
    first,
    counts,
    touched,
    totals,
    labels,
    scores,
):
    classes = len(prior)
    for row in range(len(offsets) - 1):
        state, found = 0, 0
        for i in range(offsets[row], offsets[row + 1]):
            state = moves[states[state, 0] + data[i]]
            feature = states[state, 1]
            if feature >= 0:
                if counts[feature] == 0:
                    touched[found] = feature
                    found += 1
                counts[feature] += 1
        for c in range(classes):
            totals[c] = prior[c] if found else np.float32(0)
        for k in range(found):
            feature = touched[k]
            weight = np.float32(math.log1p(counts[feature]))
            counts[feature] = 0
            for c in range(classes):
                totals[c] += weight * weights[feature, c]
        scale = 1.0 / math.sqrt(max(1, offsets[row + 1] - offsets[row]))
        best = totals[0]
        for c in range(classes):
            best = max(best, totals[c])
        mass = 0.0
        for c in range(classes):
            totals[c] = math.exp((totals[c] - best) * scale)
            mass += totals[c]
        for c in range(classes):
            if first[c] != c:
                totals[first[c]] += totals[c]
                totals[c] = 0
        top = 0
        for c in range(classes):
            if totals[c] > totals[top]:
                top = c
        labels[row] = top
        scores[row] = totals[top] / mass


@njit(cache=True, nogil=True, boundscheck=False)
def _sample(data, offsets, max_bytes, windows, out, out_offsets):  # type: ignore[no-untyped-def]
    used = 0
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        length = end - begin
        count, width = windows, max_bytes // windows
        if length <= max_bytes:
            count, width = 1, length
        for k in range(count):
            at = (
                begin
                if count == 1
                else begin + (length - width * count) * (2 * k + 1) // (2 * count) + width * k
            )
            stop = at + width
            if k > 0:
                near = min(at + 32, stop)
                space = at
                while space < near and data[space] > 32:
                    space += 1
                if space < near:
                    at = space
                out[used] = 32
                used += 1
            while at < stop and data[at] & 0xC0 == 0x80:
                at += 1
            while stop < end and stop > at and data[stop] & 0xC0 == 0x80:
                stop -= 1
            for i in range(at, stop):
                byte = data[i]
                out[used] = 32 if byte == 10 or byte == 13 else byte
                used += 1
        out_offsets[row + 1] = used
    return used


def main(paths: list[str]) -> None:
    """Print the language of files."""
    model = load_naive_bayes()
    texts = pa.array([Path(path).read_text("utf-8", "replace") for path in paths], pa.string())
    labels, scores = identify(model, sample_windows(texts))
    for path, label, score in zip(paths, labels, scores, strict=True):
        print(f"{path}\t{model.labels[label]}\t{score:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
