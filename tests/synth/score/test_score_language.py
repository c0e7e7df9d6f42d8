"""Language of items, by both engines, as curation's op has it."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest

from curation.ops import parse_op as curation_op
from gristmill.errors import GristmillError
from synth.ops import op_class, parse_op
from tests.synth.by_hand import lost, row, samples, score

TEXTS = [
    "This is some English text, and it goes on for a while so that it is clear to anyone.",
    "Das ist ein deutscher Text, der eine Weile so weitergeht, damit es jeder merkt.",
    "",
    "zzz",
    "Ceci est un texte en français.\n" * 200,
    "half \ud800 a character of English text that came out of a JSON escape",
]


@pytest.mark.parametrize("engine", ["py3langid", "lid176"])
def test_it_agrees_with_curation(engine: str, shared_data: Path) -> None:
    options = {"engine": engine}
    if engine == "lid176":
        options["model"] = str(shared_data / "models" / "lid.176.ftz")
    items = score({"score": {"language": options}}, samples(*({"response": t} for t in TEXTS)))
    whole = [text.encode("utf-8", "replace").decode() for text in TEXTS]
    table = pa.table({"text": pa.array(whole)})
    opened = curation_op({"language": {**options, "keep": [], "min_score": 0}}).open()
    for name, column in opened(table, {}).columns.items():
        assert [item.fields[name] for item in items] == column.to_pylist()
    assert [item.fields["language"] for item in items[:3]] == ["en", "de", None]


def test_fields_files_and_packages(shared_data: Path) -> None:
    model = str(shared_data / "models" / "lid.176.ftz")
    op = parse_op({"score": {"language": {"of": "text", "into": "lang", "model": model}}})
    assert list(op.fields()) == ["lang", "lang_score"]
    assert (op.files(), op.packages()) == ([model], ["fasttext-community"])
    op.check()
    assert parse_op({"score": "language"}).packages() == ["py3langid"]
    assert parse_op({"score": {"language": "text"}}).of == "text"  # type: ignore[attr-defined]


def test_a_missing_text_is_a_failure_and_the_others_keep_their_places() -> None:
    of = row()
    items = samples({"response": TEXTS[0]}, {"response": None}, {"response": TEXTS[1]})
    found = score({"score": "language"}, items, of)
    assert [item.fields["language"] for item in found] == ["en", "de"]
    assert lost(of) == [("score.language", "missing")]
    assert all(0 < item.fields["language_score"] <= 1 for item in found)
    assert not any(math.isnan(item.fields["language_score"]) for item in found)
    assert score({"score": "language"}, []) == []


def test_errors_name_the_fix() -> None:
    with pytest.raises(GristmillError, match="needs `model:`"):
        parse_op({"score": {"language": {"engine": "lid176"}}}).check()
    with pytest.raises(GristmillError, match="no py3langid model"):
        parse_op({"score": {"language": {"model": __file__, "engine": "py3langid"}}}).check()
    assert op_class("score.language").NAME == "score.language"
