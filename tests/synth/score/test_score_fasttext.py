"""fastText probabilities: the label asked for, of a model that the test trains."""

from __future__ import annotations

from pathlib import Path

import fasttext
import pytest

from gristmill.errors import RecipeError
from synth.ops import parse_op
from tests.synth.by_hand import lost, row, samples, score

GOOD = "the experiment shows how water turns the wheel of the mill"
BAD = "buy cheap now click here best price win money"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("fasttext")
    lines = [f"__label__hq {GOOD}", f"__label__lq {BAD}"] * 60
    (folder / "train.txt").write_text("\n".join(lines))
    trained = fasttext.train_supervised(
        str(folder / "train.txt"), dim=8, epoch=20, lr=0.5, thread=1, verbose=0, minCount=1
    )
    trained.save_model(str(folder / "quality.bin"))
    return str(folder / "quality.bin")


def test_the_probability_of_a_label(model: str) -> None:
    texts = [GOOD, BAD, GOOD.replace(" ", "\n"), "", "\ud800 water"]
    items = samples(*({"response": text} for text in texts))
    found = score({"score": {"fasttext": {"model": model, "label": "hq"}}}, items)
    chances = [item.fields["fasttext"] for item in found]
    assert chances[0] > 0.9 > 0.1 > chances[1]
    assert chances[2] == chances[0]  # lines are one text
    assert all(0 <= chance <= 1 for chance in chances)
    other = {"score": {"fasttext": {"model": model, "label": "__label__lq", "into": "spam"}}}
    for item in score(other, items):
        assert item.fields["spam"] + item.fields["fasttext"] == pytest.approx(1, abs=1e-4)
    labels, scores = fasttext.load_model(model).predict(GOOD, k=2)
    assert chances[0] == pytest.approx(dict(zip(labels, scores, strict=True))["__label__hq"])


def test_of_language_identification_too(shared_data: Path) -> None:
    model = str(shared_data / "models" / "lid.176.ftz")
    op = parse_op({"score": {"fasttext": {"model": model, "label": "de"}}})
    op.check()
    assert (op.files(), op.packages()) == ([model], ["fasttext-community"])
    items = samples({"response": "Das Rad der Mühle dreht sich."}, {"response": GOOD})
    german, english = (item.fields["fasttext"] for item in score(op, items))
    assert german > 0.9 and english < 0.1


def test_a_missing_text_is_a_failure(model: str) -> None:
    of = row()
    assert score({"score": {"fasttext": {"model": model, "label": "hq"}}}, samples({}), of) == []
    assert lost(of) == [("score.fasttext", "missing")]


def test_errors_name_the_fix(model: str) -> None:
    for options, words in [
        ({"model": model, "label": "hg"}, "has no label 'hg'; did you mean 'hq'"),
        ({"model": "no.bin", "label": "hq"}, "no such file"),
        ({"model": __file__, "label": "hq"}, "is no fastText model"),
    ]:
        with pytest.raises(RecipeError, match=words):
            parse_op({"score": {"fasttext": options}}).check()
