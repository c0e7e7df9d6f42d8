"""The op `clean_lines`: texts, reasons and ledger of each set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.ops import OpResult, parse_op
from gristmill.errors import RecipeError

PAGE = "\n".join(
    [
        "Home | Menu",
        "The old mill stands by the river, and its wheel still turns.",
        "Nobody has ground any flour there for more than forty years",
        "It grinds! Slowly, but it grinds. Do come and see it.",
        "This website uses cookies, as every other website does.",
    ]
)
KEPT = "\n".join(PAGE.split("\n")[i] for i in (1, 3))


def _apply(options: Any, *texts: str | None) -> OpResult:
    table = pa.table({"text": pa.array(texts, pa.string())})
    return parse_op({"clean_lines": options}).open()(table, {})


def _failed(result: OpResult, row: int = 0) -> set[str]:
    return {failure.rule for failure in result.failures if failure.mask[row]}


def test_c4_takes_lines_out_and_says_which() -> None:
    result = _apply("c4", PAGE)
    assert result.columns["text"].to_pylist() == [KEPT]
    assert _failed(result) == set()
    ledger = {name: column[0].as_py() for name, column in result.ledger.items()}
    assert ledger["removed_lines"] == 3
    assert ledger["removed_unterminated_lines"] == 2 and ledger["removed_policy_lines"] == 1
    assert ledger["sentences_left"] == 4


def test_a_dropped_page_keeps_the_text_it_came_with() -> None:
    result = _apply("c4", "Only one sentence is left of this.\nMenu", PAGE, None)
    assert result.columns["text"].to_pylist() == [
        "Only one sentence is left of this.\nMenu",
        KEPT,
        None,
    ]
    assert _failed(result, 0) == _failed(result, 2) == {"c4.min_sentences"}
    failure = next(f for f in result.failures if f.rule == "c4.min_sentences")
    assert failure.value.tolist() == [1, 4, 0] and failure.threshold == 3


def test_page_rules_look_at_lines_that_stay() -> None:
    hidden = PAGE + "\n{ code\nlorem ipsum"
    shown = PAGE + "\nAnd here is { one more } line of words.\nNow Lorem Ipsum is here for good."
    result = _apply("c4", hidden, shown)
    assert _failed(result, 0) == set()
    assert _failed(result, 1) == {"c4.max_curly_brackets", "c4.max_lorem_ipsum"}
    assert _failed(_apply({"set": "c4", "max_curly_brackets": None}, shown)) == {
        "c4.max_lorem_ipsum"
    }


@pytest.mark.parametrize(
    "options",
    ["c4@fineweb", {"set": "c4@datatrove-0.10", "terminal": False}],
)
def test_fineweb_keeps_lines_without_an_end_mark(options: Any) -> None:
    result = _apply(options, PAGE)
    assert result.columns["text"].to_pylist() == ["\n".join(PAGE.split("\n")[:4])]
    assert result.ledger["removed_unterminated_lines"].to_pylist() == [0]


def test_changes() -> None:
    assert _failed(_apply({"set": "c4", "min_sentences": 5}, PAGE)) == {"c4.min_sentences"}
    assert _failed(_apply({"set": "c4", "min_sentences": None}, "")) == set()
    short = _apply({"set": "c4", "min_words": 11, "min_sentences": None}, PAGE)
    assert short.columns["text"].to_pylist() == [KEPT]
    strict = _apply({"set": "c4@fineweb", "terminal": True, "min_sentences": 4}, PAGE)
    assert strict.columns["text"].to_pylist() == [KEPT]


def test_dolma_takes_lines_out_and_asks_nothing_of_the_page() -> None:
    result = _apply("c4@dolma", PAGE + "\n")
    assert result.columns["text"].to_pylist() == [
        "\n".join(PAGE.split("\n")[i] for i in (1, 3, 4)) + "\n"
    ]
    assert result.failures == []


def test_bad_words_come_from_lists(tmp_path: Path) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("# made up\nblast\nmill stone\na+b\n")
    base = "This is the first sentence of it. Here the second one begins. And so the third follows."
    texts = [
        base,
        base.replace("second", "Blast"),
        base.replace("second", "blasted"),
        base.replace("second", "MILL STONE"),
        base.replace("second", "(a+b)"),
        base + "\nBlast is here at the front, which C4 does not see.",
        "blast\n" + base,  # the line goes, and the word with it
    ]
    result = _apply({"set": "c4", "bad_words": str(listed)}, *texts)
    failing = [row for row in range(len(texts)) if _failed(result, row)]
    assert failing == [1, 3, 4] and _failed(result, 1) == {"c4.bad_words"}
    assert result.ledger["bad_words"].to_pylist() == [0, 1, 0, 1, 1, 0, 0]
    op = parse_op({"clean_lines": {"bad_words": f"{listed}#en"}})
    assert op.files() == [str(listed)]
    listed.write_text("# nothing\n")
    with pytest.raises(RecipeError, match="has no words"):
        _apply({"bad_words": [str(listed)]}, base)


def test_refinedweb() -> None:
    prose = "The old mill stands by the river and its wheel still turns. " * 4
    result = _apply("refinedweb", f"MENU\n{prose}\n3 likes", f"Menu\n{prose}")
    assert _failed(result, 0) == {"refinedweb.max_removed_words"} and _failed(result, 1) == set()
    assert result.columns["text"].to_pylist()[1] == prose.strip()
    assert result.ledger["removed_lines"].to_pylist() == [2, 1]
    assert result.ledger["removed_counter_lines"].to_pylist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("c5", "no line rules 'c5'"),
        ({"set": "c4", "min_sentence": 3}, "has no 'min_sentence'; did you mean 'min_sentences'"),
        ({"set": "refinedweb", "min_words": 3}, "has no min_words; that is for the sets of C4"),
        ({"set": "c4@dolma", "min_sentences": 3}, "has no 'min_sentences'"),
        ({"set": "c4", "min_sentences": "many"}, "a threshold is a number or null"),
    ],
)
def test_mistakes(options: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_op({"clean_lines": options})
