"""Language identification: equal to py3langid, and windows that are enough."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from gristmill.errors import GristmillError
from gristmill.text.langid import NaiveBayes, identify, load_naive_bayes, sample_windows


@pytest.fixture(scope="module")
def model() -> NaiveBayes:
    return load_naive_bayes()


@pytest.fixture(scope="module")
def oracle() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def assert_equal(model: NaiveBayes, oracle: LanguageIdentifier, texts: list[str]) -> None:
    labels, scores = identify(model, pa.array(texts, pa.string()))
    for text, label, score in zip(texts, labels, scores, strict=True):
        name, probability = oracle.classify(text)
        # Both add in single precision, in another order: sums near 10^5 differ in the last bits.
        assert score == pytest.approx(probability, abs=2e-3)
        if score > 0.5:
            assert model.labels[label] == name


def test_equal_to_py3langid_on_387_languages(
    model: NaiveBayes, oracle: LanguageIdentifier, shared_data: Path
) -> None:
    with gzip.open(shared_data / "text" / "udhr2.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"][:2000] for line in lines]
    assert len(texts) > 300
    assert_equal(model, oracle, texts)


@given(texts=st.lists(st.text(max_size=80), max_size=5))
@settings(max_examples=100, deadline=None)
def test_equal_to_py3langid_on_any_text(
    model: NaiveBayes, oracle: LanguageIdentifier, texts: list[str]
) -> None:
    texts += ["", "ALL CAPITALS ARE LOWERED FIRST", "cafe\u0301", "İSTANBUL'DA", " "]
    assert_equal(model, oracle, texts)


def test_slices_and_nulls(model: NaiveBayes) -> None:
    array = pa.array(["x", "Dies ist ein deutscher Satz.", None, "This is an English sentence."])
    labels, scores = identify(model, array.slice(1))
    assert [model.labels[label] for label in labels[[0, 2]]] == ["de", "en"]
    assert scores[1] < 0.5


def test_windows_are_even_whole_characters_on_one_line() -> None:
    text = "".join(f"{i:04d}\n" for i in range(1000))  # 5000 bytes
    short = "a\nb"
    (sampled, kept, nothing) = sample_windows(pa.array([text, short, None]), 400, 4).to_pylist()
    assert kept == "a b" and nothing == ""
    assert "\n" not in sampled and 350 <= len(sampled) <= 404
    numbers = [int(part) for part in sampled.split() if len(part) == 4]
    assert numbers[0] < 200 and numbers[-1] > 800  # from all over
    assert sample_windows(pa.array([], pa.string())).to_pylist() == []


@given(st.lists(st.text(max_size=60)), st.integers(1, 40), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_windows_of_any_text_are_valid(texts: list[str], size: int, windows: int) -> None:
    windows = min(windows, size)
    sampled = sample_windows(pa.array(texts, pa.string()), size, windows)
    sampled.validate(full=True)
    for text, part in zip(texts, sampled.to_pylist(), strict=True):
        raw = len(text.encode())
        assert len(part.encode()) <= (raw if raw <= size else size + windows)
        assert set(part) <= set(text) | {" "}


def test_windows_name_the_language_of_the_whole(model: NaiveBayes, shared_data: Path) -> None:
    with gzip.open(shared_data / "text" / "masakhanews_8lang.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines][::20]
    texts = pa.array([row["text"] for row in rows])
    whole, _ = identify(model, texts)
    parts, _ = identify(model, sample_windows(texts))
    assert np.mean(whole == parts) > 0.97


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.npz.xz").write_bytes(b"no model")
    with pytest.raises(GristmillError, match="no py3langid model"):
        load_naive_bayes(str(tmp_path / "m.npz.xz"))
