"""datatrove blocks as ops: the same answers, and no block that looks across rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.ops import OpResult, parse_op
from gristmill.errors import RecipeError

PROSE = "The dog and the cat have to be with us, and that is a fact of the matter. " * 12


def run(options: Any, rows: list[dict[str, Any]]) -> OpResult:
    names = ("text", "url", "payload", "charset", "metadata")
    kinds = (pa.string(), pa.string(), pa.binary(), pa.string(), pa.string())
    columns = {
        name: pa.array([row.get(name) for row in rows], kind)
        for name, kind in zip(names, kinds, strict=True)
    }
    return parse_op({"datatrove": options}).open()(pa.table(columns), {})


def failed(result: OpResult) -> dict[str, list[int]]:
    return {failure.rule: failure.mask.nonzero()[0].tolist() for failure in result.failures}


def test_a_filter_gives_its_reason() -> None:
    rows = [{"text": "short"}, {"text": PROSE}, {"text": None}]
    result = run("GopherQualityFilter", rows)
    assert failed(result) == {"datatrove.GopherQualityFilter.gopher_short_doc": [0, 2]}
    assert "text" not in result.columns
    full = "datatrove.pipeline.filters.GopherQualityFilter"
    assert failed(run({"block": full, "args": {"min_doc_words": 1}}, rows[:2])) != failed(result)


def test_same_answers_as_datatrove_itself(shared_data: Path) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter

    with gzip.open(shared_data / "text" / "c4_demo.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines][:60]
    block = GopherQualityFilter()
    answers = [block.filter(Document(text=text, id="")) for text in texts]
    theirs = {i: answer[1] for i, answer in enumerate(answers) if isinstance(answer, tuple)}
    ours = failed(run("GopherQualityFilter", [{"text": text} for text in texts]))
    name = "datatrove.GopherQualityFilter."
    assert {i: rule.removeprefix(name) for rule, rows in ours.items() for i in rows} == theirs


def test_a_filter_that_edits_and_a_formatter() -> None:
    rows = [{"text": "One line of words here.\nno end\n" + PROSE}, {"text": "### \nwords\n---"}]
    edited = run({"block": "C4QualityFilter", "args": {"min_num_sentences": 0}}, rows)
    assert "no end" not in edited.columns["text"][0].as_py()
    assert run("SymbolLinesFormatter", rows).columns["text"][1].as_py() == "words"


def test_replacements_do_not_depend_on_earlier_rows() -> None:
    rows = [{"text": "a@b.de 8.8.8.8"}] * 3
    assert len(set(run("PIIFormatter", rows).columns["text"].to_pylist())) == 1


def test_an_extractor_reads_the_body() -> None:
    page = f"<html><body><article><p>{PROSE}</p></article></body></html>".encode()
    rows = [{"payload": page}, {"payload": page}, {"payload": b"<p></p>"}]
    result = run("Trafilatura", rows)
    texts = result.columns["text"].to_pylist()
    assert texts[0] == texts[1] and texts[0].startswith("The dog")  # no memory of the first
    assert failed(result) == {"datatrove.Trafilatura.empty": [2]}


def test_metadata_reaches_the_block() -> None:
    from datatrove.pipeline.filters.base_filter import BaseFilter

    class Wanted(BaseFilter):
        name = "wanted"

        def filter(self, doc: Any) -> bool | tuple[bool, str]:
            return (True, "") if doc.metadata.get("stars", 0) > 2 else (False, "few stars")

    globals()["Wanted"] = Wanted
    rows = [{"text": "x", "metadata": '{"stars": 5}'}, {"text": "y", "metadata": None}]
    assert failed(run(f"{__name__}.Wanted", rows)) == {"datatrove.Wanted.few stars": [1]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("GopherQualtyFilter", "did you mean 'GopherQualityFilter'"),
        ("SamplerFilter", "depends on the order of rows"),
        ("datatrove.pipeline.readers.JsonlReader", "is no filter, formatter or extractor"),
        ("datatrove.pipeline.no.Such", "no block"),
        ({"block": "GopherQualityFilter", "args": {"bad": 1}}, "unexpected keyword"),
        ({"block": "GopherQualityFilter", "args": {"exclusion_writer": 1}}, "in the ledger"),
    ],
)
def test_what_is_no_op_is_refused(options: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        run(options, [])


def test_a_block_that_fails_on_every_row_is_an_error_and_on_some_a_reason() -> None:
    wrong = {"block": "GopherQualityFilter", "args": {"min_doc_words": "x"}}
    with pytest.raises(RecipeError, match="fails on every row"):
        run(wrong, [{"text": PROSE}] * 8)
    assert failed(run(wrong, [{"text": PROSE}])) == {"datatrove.GopherQualityFilter.error": [0]}
