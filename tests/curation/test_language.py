"""Op `language`: both engines, decisions, and errors that name the fix."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.language_codes import suggest_language
from curation.ops import OpResult, parse_op
from gristmill.errors import GristmillError
from gristmill.text import identify

TEXTS = [
    "This is some English text, and it goes on for a while so that it is clear to anyone.",
    "Das ist ein deutscher Text, der eine Weile so weitergeht, damit es jeder merkt.",
    None,
    "",
    "zzz",
]


def run(options: dict[str, Any] | None, texts: list[str | None] = TEXTS) -> OpResult:
    return parse_op({"language": options}).open()(pa.table({"text": pa.array(texts)}), {})


def failed(result: OpResult) -> dict[str, list[int]]:
    return {failure.rule: failure.mask.nonzero()[0].tolist() for failure in result.failures}


def test_py3langid_is_the_default() -> None:
    result = run(None)
    assert result.columns["language"].to_pylist()[:4] == ["en", "de", None, None]
    assert failed(result)["language.not_kept"][:3] == [1, 2, 3]
    assert failed(result)["language.low_score"] == [2, 3, 4]
    assert result.failures[1].threshold == 0.65
    scores = result.columns["language_score"].to_pylist()
    assert scores == [round(score, 4) for score in scores]


def test_lid176_by_path(shared_data: Path) -> None:
    model = str(shared_data / "models" / "lid.176.ftz")
    result = run({"model": model, "keep": ["en", "de"]})
    assert result.columns["language"].to_pylist()[:4] == ["en", "de", None, None]
    assert 0 not in failed(result)["language.not_kept"]
    op = parse_op({"language": {"model": model}})
    assert op.files() == [model] and op.packages() == ["fasttext-community"]
    with pytest.raises(GristmillError, match="no fastText model"):
        run({"model": __file__, "engine": "lid176"})


def test_keep_nothing_keeps_all_and_whole_texts_can_be_read() -> None:
    result = run({"keep": [], "min_score": 0, "sample_bytes": 0})
    assert failed(result) == {"language.not_kept": [], "language.low_score": []}
    assert result.columns["language"].to_pylist()[:2] == ["en", "de"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": ["eng"]}, "'eng', which the model does not know; did you mean 'en'"),
        ({"keep": "german"}, r"did you mean 'de' \(German\)"),
        ({"keep": ["en", "germna"]}, r"did you mean 'de' \(German\)"),
        ({"keep": "de-AT"}, r"did you mean 'de' \(German\)"),
        ({"keep": "EN"}, r"did you mean 'en' \(English\)"),
        ({"keep": "klingon"}, r"knows \d+ codes, such as 'en' \(English\)"),
        ({"engine": "lid176"}, "needs `model:`"),
        ({"model": "no/such/lid.176.ftz"}, "matches no file"),
        ({"min_score": 2}, "min_score"),
    ],
)
def test_errors_name_the_fix(options: dict[str, Any], words: str) -> None:
    with pytest.raises(GristmillError, match=words):
        run(options)


def test_a_model_with_labels_of_its_own_is_asked_for_the_nearest() -> None:
    labels = ["deu_Latn", "eng_Latn", "zho_Hans"]
    assert suggest_language("eng", labels) == "; did you mean 'eng_Latn'?"
    assert suggest_language("toki pona", labels) == "; known: deu_Latn, eng_Latn, zho_Hans"


def test_a_download_is_checked(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is not touched: the answer is put in its place."""
    real = (shared_data / "models" / "lid.176.ftz").read_bytes()
    assert hashlib.sha256(real).hexdigest() == identify.LID176_SHA256
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path))
    monkeypatch.setattr(identify.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"other"))
    with pytest.raises(GristmillError, match="was removed"):
        run({"model": "download"})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(identify.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(real))
    assert run({"model": "download"}).columns["language"][0].as_py() == "en"
    monkeypatch.setattr(identify.urllib.request, "urlopen", None)  # not asked again
    assert run({"model": "download"}).columns["language"][1].as_py() == "de"

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "new"))
    monkeypatch.setattr(identify.urllib.request, "urlopen", refuse)
    with pytest.raises(GristmillError, match="fetch lid"):
        run({"model": "download"})
